//! Pages and pictures of anybody's sites: as much of them as one wants, wherever they have moved.

use url::Url;

use super::{Outgoing, OutgoingError};

/// Addresses to which one request may be sent on.
const REDIRECTS_MAX: usize = 5;

/// A page or a picture.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it was in the end.
    pub url: Url,
    /// What it is said to be.
    pub content_type: Option<String>,
    /// The beginning of it, at most as much as was asked for.
    pub bytes: Vec<u8>,
    /// There was more.
    pub is_cut_off: bool,
}

impl Outgoing {
    /// Makes an address of plain HTTP one of HTTPS where only that is allowed: most of what people write
    /// down that way is there too.
    pub fn upgrade(&self, url: &mut Url) {
        if !self.allow_private && url.scheme() == "http" && url.port().is_none() {
            // Between these two it cannot fail.
            let _ = url.set_scheme("https");
        }
    }

    /// Fetches a page or a picture for people of the given languages (`accept-language`), or as much of
    /// it as the limit allows. Where it is sent on, each address passes the same checks, and `allowed`.
    ///
    /// # Errors
    /// [`OutgoingError`]; an answer that is no success is one.
    pub async fn get_page(
        &self,
        url: &Url,
        languages: &str,
        limit_bytes: usize,
        allowed: impl Fn(&Url) -> bool,
    ) -> Result<Page, OutgoingError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            self.check(&url)?;
            if !allowed(&url) {
                return Err(OutgoingError::Refused("it is denied"));
            }
            let request = self.client.get(url.clone()).header("accept-language", languages);
            let response = request.send().await.map_err(failed)?;
            let status = response.status();
            if status.is_redirection() {
                let location = response.headers().get("location");
                let location = location.and_then(|value| value.to_str().ok());
                let next = location.and_then(|location| url.join(location).ok());
                url = next.ok_or_else(|| OutgoingError::Status(status.as_u16()))?;
                self.upgrade(&mut url);
                continue;
            }
            if !status.is_success() {
                return Err(OutgoingError::Status(status.as_u16()));
            }
            return read_some(url, response, limit_bytes).await;
        }
        Err(OutgoingError::Refused("it leads on and on"))
    }
}

async fn read_some(
    url: Url,
    mut response: reqwest::Response,
    limit_bytes: usize,
) -> Result<Page, OutgoingError> {
    let content_type = response.headers().get("content-type");
    let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        let room = limit_bytes.saturating_sub(bytes.len());
        bytes.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if chunk.len() > room {
            return Ok(Page { url, content_type, bytes, is_cut_off: true });
        }
    }
    Ok(Page { url, content_type, bytes, is_cut_off: false })
}

/// Without the address, which may be somebody's secret.
fn failed(error: reqwest::Error) -> OutgoingError {
    OutgoingError::Failed(error.without_url().to_string())
}
