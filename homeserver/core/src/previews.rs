//! Previews of links: the server looks at the page in place of its users, so that whoever runs the page
//! sees the server and not who reads the message. Off unless the administration wants it.
//!
//! Pages are reached through [`crate::outgoing`] only, with bounds on redirects, size and time. Nothing
//! of who asked is sent or kept; pages are known by a hash of their address.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url>

mod page;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use pli_schema::{
    Language,
    records::media::{UrlPreviewKey, UrlPreviewRecord},
};
use pli_store::{Scan, Store};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore};
use url::{Host, Url};

use crate::{
    Clock, Error, Media, MilliSeconds, Result,
    outgoing::{Outgoing, Page},
};

/// How long a preview is good before the page is looked at again.
const FRESH_MS: MilliSeconds = 24 * 3_600_000;
/// How long after that it is kept, with its picture, for clients that have shown it.
const KEPT_MS: MilliSeconds = 7 * 24 * 3_600_000;
/// Bytes of a page that are looked at.
const PAGE_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Largest picture.
const PICTURE_MAX_BYTES: usize = 5 * 1024 * 1024;
/// Time for page and picture together.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest address, in bytes.
const URL_MAX_BYTES: usize = 2_048;
/// Pages that are looked at at once.
const AT_ONCE: usize = 8;
/// Those who may wait for one; more are told to come back.
const WAITING_MAX: usize = 64;
/// Locks, by address, so that a page to which many look at once is fetched once.
const LANES: usize = 64;

/// What can be set about previews.
#[derive(Clone, Debug, Default)]
pub struct PreviewSettings {
    /// The server looks at pages.
    pub enabled: bool,
    /// Domains that are never looked at, with everything below them.
    pub denied_domains: Vec<String>,
}

/// Previews of links. Clones share everything.
#[derive(Clone, Debug)]
pub struct Previews {
    store: Store,
    clock: Clock,
    media: Media,
    outgoing: Outgoing,
    settings: Arc<PreviewSettings>,
    waiting: Arc<Semaphore>,
    fetching: Arc<Semaphore>,
    lanes: Arc<[Mutex<()>; LANES]>,
}

impl Previews {
    /// Previews whose pictures are kept as `media`.
    #[must_use]
    pub fn new(
        (store, clock): (Store, Clock),
        media: Media,
        outgoing: Outgoing,
        settings: PreviewSettings,
    ) -> Self {
        Self {
            store,
            clock,
            media,
            outgoing,
            settings: Arc::new(settings),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            fetching: Arc::new(Semaphore::new(AT_ONCE)),
            lanes: Arc::new(std::array::from_fn(|_| Mutex::new(()))),
        }
    }

    /// What is behind a link, as a JSON object of Open Graph properties; empty where there is nothing to
    /// show, and if previews are off.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for what is no address of a page; [`Error::Forbidden`] for one that is not
    /// looked at; [`Error::NotFound`] if there is no page; [`Error::LimitExceeded`] if too many wait.
    pub async fn of(&self, url: &str, language: Language) -> Result<String> {
        if !self.settings.enabled {
            return Ok("{}".to_owned());
        }
        let url = self.check(url)?;
        let hash = Sha256::digest(format!("{language:?} {url}")).into();
        if let Some(json) = self.kept(hash).await? {
            return Ok(json);
        }
        let busy = |_| Error::LimitExceeded { retry_after_ms: 2_000 };
        let _waiting = self.waiting.try_acquire().map_err(busy)?;
        let lane = hash.first().map_or(0, |byte| usize::from(*byte) % LANES);
        let lane = self.lanes.get(lane).ok_or_else(|| Error::bug("no lane for a preview"))?;
        let _lane = lane.lock().await;
        if let Some(json) = self.kept(hash).await? {
            return Ok(json);
        }
        let closed = |_| Error::bug("no more pages are looked at");
        let _fetching = self.fetching.acquire().await.map_err(closed)?;
        let looked = tokio::time::timeout(TIMEOUT, self.look(&url, language)).await;
        let record = looked.map_err(|_| nothing())??;
        self.keep(UrlPreviewKey { url: hash, at_ms: self.clock.now_ms() }, &record).await?;
        Ok(record.json)
    }

    /// The address, if it may be looked at.
    fn check(&self, url: &str) -> Result<Url> {
        let no_page = || Error::invalid_param("`url` must be the address of a page");
        if url.len() > URL_MAX_BYTES {
            return Err(no_page());
        }
        let mut url = Url::parse(url).map_err(|_| no_page())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(no_page());
        }
        url.set_fragment(None);
        self.outgoing.upgrade(&mut url);
        let refused = |_| Error::forbidden("This address is not looked at");
        self.outgoing.check(&url).map_err(refused)?;
        self.check_domain(&url)?;
        Ok(url)
    }

    fn check_domain(&self, url: &Url) -> Result<()> {
        let Some(Host::Domain(host)) = url.host() else { return Ok(()) };
        let host = host.trim_end_matches('.');
        let is_below = |denied: &String| {
            let denied = denied.trim_matches('.').to_ascii_lowercase();
            host == denied || host.strip_suffix(&denied).is_some_and(|rest| rest.ends_with('.'))
        };
        if self.settings.denied_domains.iter().any(is_below) {
            return Err(Error::forbidden("Pages of this domain are not looked at"));
        }
        Ok(())
    }

    async fn kept(&self, url: [u8; 32]) -> Result<Option<String>> {
        let newest = Scan::<UrlPreviewKey>::prefix((url,)).backward().limit(1);
        let newest = self.store.scan(&newest).await?.into_iter().next();
        let fresh = |at_ms: MilliSeconds| at_ms.saturating_add(FRESH_MS) > self.clock.now_ms();
        Ok(newest.filter(|row| fresh(row.key.at_ms)).map(|row| row.record.json))
    }

    async fn keep(&self, key: UrlPreviewKey, record: &UrlPreviewRecord) -> Result<()> {
        let key = &key;
        self.store
            .write(|tx| async move {
                tx.put(key, record)?;
                Ok::<_, Error>(())
            })
            .await
    }

    async fn look(&self, url: &Url, language: Language) -> Result<UrlPreviewRecord> {
        let page = self.fetch(url, language, PAGE_MAX_BYTES).await?;
        let content_type = page.content_type.clone().unwrap_or_default().to_ascii_lowercase();
        let (mut shown, picture) = if content_type.starts_with("image/") {
            (Map::new(), Some(page.url.clone()))
        } else if content_type.starts_with("text/html")
            || content_type.starts_with("application/xhtml+xml")
        {
            let read = tokio::task::spawn_blocking(move || page::read(&page));
            let page = read.await.map_err(|error| Error::bug(format!("preview: {error}")))?;
            (page.properties, page.picture)
        } else {
            (Map::new(), None)
        };
        let image = match picture {
            Some(picture) => self.picture(&picture, language, &mut shown).await?,
            None => None,
        };
        Ok(UrlPreviewRecord { json: Value::Object(shown).to_string(), image })
    }

    /// Fetches, keeps and describes a picture. A page whose picture cannot be had is shown without.
    async fn picture(
        &self,
        url: &Url,
        language: Language,
        shown: &mut Map<String, Value>,
    ) -> Result<Option<String>> {
        let mut url = url.clone();
        self.outgoing.upgrade(&mut url);
        let Ok(fetched) = self.fetch(&url, language, PICTURE_MAX_BYTES).await else {
            return Ok(None);
        };
        if fetched.is_cut_off {
            return Ok(None);
        }
        let picture = match self.media.keep_picture(fetched.bytes).await {
            Ok(Some(picture)) => picture,
            // There is room for no more of them for now.
            Ok(None) | Err(Error::Forbidden(_) | Error::TooLarge(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        shown.insert("og:image".to_owned(), picture.uri.as_str().into());
        shown.insert("og:image:type".to_owned(), picture.content_type.into());
        shown.insert("og:image:width".to_owned(), picture.width.into());
        shown.insert("og:image:height".to_owned(), picture.height.into());
        shown.insert("matrix:image:size".to_owned(), picture.size_bytes.into());
        Ok(picture.uri.media_id().ok().map(str::to_owned))
    }

    async fn fetch(&self, url: &Url, language: Language, limit_bytes: usize) -> Result<Page> {
        let languages = match language {
            Language::Fr => "fr,en;q=0.5",
            Language::En => "en,fr;q=0.5",
        };
        let allowed = |url: &Url| self.check_domain(url).is_ok();
        let fetched = self.outgoing.get_page(url, languages, limit_bytes, allowed).await;
        fetched.map_err(|error| {
            // Without the address: what people link to is theirs.
            tracing::debug!(%error, "a page could not be looked at");
            nothing()
        })
    }

    /// Removes previews that nobody shows any more, with their pictures; returns how many.
    ///
    /// # Errors
    /// Those of the store and of the disk.
    pub(crate) async fn sweep(&self, pause: Duration) -> Result<usize> {
        let now_ms = self.clock.now_ms();
        let mut range = Scan::<UrlPreviewKey>::prefix(()).limit(200);
        let mut removed = 0;
        loop {
            let rows = self.store.scan(&range).await?;
            let Some(last) = rows.last().map(|row| row.key.clone()) else { return Ok(removed) };
            for row in rows {
                if row.key.at_ms.saturating_add(FRESH_MS + KEPT_MS) <= now_ms {
                    self.remove(&row.key, row.record.image.as_deref()).await?;
                    removed += 1;
                }
            }
            range = range.after((last.url, last.at_ms));
            tokio::time::sleep(pause).await;
        }
    }

    /// The picture first: if the server stops in between, the preview is found again.
    async fn remove(&self, key: &UrlPreviewKey, image: Option<&str>) -> Result<()> {
        if let Some(image) = image {
            self.media.remove_picture(image).await?;
        }
        self.store
            .write(|tx| async move {
                tx.delete(key);
                Ok::<_, Error>(())
            })
            .await
    }
}

fn nothing() -> Error {
    Error::not_found("There is nothing to show of this page")
}
