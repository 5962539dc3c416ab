//! A broker of its own in this process.

use std::path::Path;

use claudemesh_client::{Error, ErrorKind};
use futures_util::future::BoxFuture;

use crate::hosting;

/// Runs a broker until `stop` ends; then stops in order.
///
/// # Errors
/// The address is taken, or the folder cannot be used.
pub(crate) async fn run(listen: &str, data: &Path, stop: BoxFuture<'static, ()>) -> Result<(), Error> {
    let mut broker = hosting::bind(data, hosting::parse_listen(listen)?).await?;
    tokio::select! {
        ended = broker.join() => ended.map_err(|error| {
            Error::new(ErrorKind::Internal, "the broker's listener failed").with_source(error)
        }),
        () = stop => {
            broker.shutdown().await;
            Ok(())
        }
    }
}
