//! The session's own socket: what is written to it appears in the session.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use claudemesh_client::api::Notice;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::environment;

/// How long the host may take to take a line.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session's socket.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    token: Option<String>,
}

impl Socket {
    /// The socket that the host named, if it answers.
    pub(super) async fn find() -> Option<Self> {
        let (path, token) = environment::messaging()?;
        let socket = Self { path, token };
        socket.connect().await.ok().map(|_| socket)
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        tokio::time::timeout(PATIENCE, UnixStream::connect(&self.path)).await?
    }

    /// Writes a notice. That it was written is no receipt.
    pub(super) async fn write(&self, notice: &Notice) -> io::Result<()> {
        let lines = lines(self.token.as_deref(), notice);
        let written = async {
            let mut stream = self.connect().await?;
            stream.write_all(lines.as_bytes()).await?;
            stream.shutdown().await
        };
        tokio::time::timeout(PATIENCE, written).await?
    }
}

/// One line that opens the socket, and one with the notice. It interrupts nothing: that is not asked for.
fn lines(token: Option<&str>, notice: &Notice) -> String {
    let auth = token.map(|token| format!("{}\n", json!({ "type": "auth", "token": token }))).unwrap_or_default();
    let message = json!({
        "type": "user",
        "message": { "role": "user", "content": notice.text },
        "from": "claudemesh",
        "msg_id": notice.id,
        "msgV": 1,
    });
    format!("{auth}{message}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_one_line_behind_the_one_that_opens() {
        let notice = Notice { id: "m_1".into(), text: "a\nb".into(), count: 1 };
        let text = lines(Some("secret"), &notice);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0], json!({"type": "auth", "token": "secret"}));
        assert_eq!(lines[1]["message"]["content"], "a\nb");
        assert!(lines.len() == 2 && lines[1].get("priority").is_none());
    }
}
