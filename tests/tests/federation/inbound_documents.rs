//! What a host may answer to discovery without harm: `quality.md`, Part IV, 27.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pli_core::{Clock, federation::Network, outgoing::Servers};
use pli_federation::discovery::Lookup;
use pli_tests::authority;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A host that answers every request with a head and then chunks without end, if it has any.
async fn host(head: impl Fn(&str) -> String, endless: bool) -> (String, Arc<[AtomicUsize; 2]>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let name = format!("localhost:{}", listener.local_addr().unwrap().port());
    let counts: Arc<[AtomicUsize; 2]> = Arc::default();
    let (head, counting, acceptor) = (head(&name), Arc::clone(&counts), authority::acceptor());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4_096]).await;
            counting[0].fetch_add(1, Ordering::SeqCst);
            let mut chunk = head.clone().into_bytes();
            while stream.write_all(&chunk).await.is_ok() && endless {
                chunk = vec![b' '; 16_384];
                counting[1].fetch_add(chunk.len(), Ordering::SeqCst);
            }
            let _ = stream.shutdown().await;
        }
    });
    (name, counts)
}

fn network(allow_private: bool) -> Network {
    let servers = Servers::new(Some(authority::root().as_bytes()), allow_private).unwrap();
    Network::new(servers, Clock::system())
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2021_21274_a_document_of_a_gigabyte_is_not_read() {
    let gigabyte = |_: &str| {
        "HTTP/1.1 200 -\r\ncontent-length: 1073741824\r\nconnection: close\r\n\r\n".to_owned()
    };
    let (name, counts) = host(gigabyte, true).await;
    let asked = tokio::time::timeout(Duration::from_secs(10), async {
        network(true).well_known(&name).await
    });
    assert_eq!(asked.await.unwrap(), None);
    // What is in the buffers between the two, and no more.
    assert!(counts[1].load(Ordering::SeqCst) < 64 * 1024 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_leads_back_to_itself_is_left_after_some_redirects() {
    let back = |name: &str| {
        format!(
            "HTTP/1.1 302 -\r\nlocation: https://{name}/.well-known/matrix/server\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    };
    let (name, counts) = host(back, false).await;
    assert_eq!(network(true).well_known(&name).await, None);
    let asked = counts[0].load(Ordering::SeqCst);
    assert!((2..=10).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_host_is_not_asked_unless_that_is_allowed() {
    let document = "{\"m.server\":\"elsewhere.example\"}";
    let length = document.len();
    let answer = |_: &str| {
        format!("HTTP/1.1 200 -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{document}")
    };
    let (name, counts) = host(answer, false).await;
    assert_eq!(network(false).well_known(&name).await, None);
    assert_eq!(counts[0].load(Ordering::SeqCst), 0);
    assert_eq!(network(true).well_known(&name).await.as_deref(), Some("elsewhere.example"));
}
