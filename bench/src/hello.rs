//! The server to compare the API with: `axum`, as its own documentation starts it, answering every request with the
//! same bytes. No signature, no state, no log.

use anyhow::Result;
use axum::Router;
use axum::routing::any;

/// Serves until the process is ended; prints `HOST:PORT` first.
pub(crate) fn serve(answer_bytes: usize) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let body: &'static str = "h".repeat(answer_bytes).leak();
        let router = Router::new().fallback(any(move || async move { body }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, router).await
    })?;
    Ok(())
}
