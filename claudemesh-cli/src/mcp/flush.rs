//! Standard output, watched: an answer counts as given once its line has been flushed.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use serde::Deserialize;
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;

/// Who waits for an answer, by the id of its request as JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<Mutex<BTreeMap<String, oneshot::Sender<()>>>>);

impl Written {
    /// Ends when the answer to the request with this id was flushed; with an error when it never will be.
    pub(super) fn of(&self, id: &impl serde::Serialize) -> oneshot::Receiver<()> {
        let (told, hears) = oneshot::channel();
        let id = serde_json::to_string(id).unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, told);
        hears
    }

    fn told(&self, lines: &[u8]) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return;
        }
        for line in lines.split(|byte| *byte == b'\n') {
            if let Ok(Answer { id, method: None }) = serde_json::from_slice(line)
                && let Some(told) = waiting.remove(&id.to_string())
            {
                // Whoever waited may have gone.
                let _ = told.send(());
            }
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    id: serde_json::Value,
    method: Option<serde_json::Value>,
}

/// A stream of lines that tells what was flushed.
#[derive(Debug)]
pub(super) struct Flushing<W> {
    inner: W,
    pending: Vec<u8>,
    written: Written,
}

impl<W> Flushing<W> {
    pub(super) fn new(inner: W) -> (Self, Written) {
        let written = Written::default();
        (Self { inner, pending: Vec::new(), written: written.clone() }, written)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Flushing<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = result {
            self.pending.extend_from_slice(&bytes[..count]);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        if let Poll::Ready(Ok(())) = result {
            let complete = self.pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let lines: Vec<u8> = self.pending.drain(..complete).collect();
            self.written.told(&lines);
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_given_when_its_whole_line_is_flushed() {
        let (mut output, written) = Flushing::new(Vec::new());
        let mut hears = written.of(&7);
        for part in ["{\"id\":7,\"method\":\"x\"}\n", "{\"id\":8,\"result\":{}}\n", "{\"id\":7,\"result\""] {
            output.write_all(part.as_bytes()).await.unwrap();
            output.flush().await.unwrap();
            assert!(hears.try_recv().is_err(), "{part}");
        }
        output.write_all(b":{}}\n").await.unwrap();
        assert!(hears.try_recv().is_err(), "it is not flushed");
        output.flush().await.unwrap();
        assert!(hears.try_recv().is_ok());
    }
}
