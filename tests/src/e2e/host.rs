//! A host of sessions as `claudemesh mcp` and `claudemesh hook` see one: raw JSON-RPC on pipes, a socket for messages, hooks
//! with JSON on standard input. It does what it is told and believes nothing.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{PATIENCE, Person, Ran, uuid};

/// A host with one session. Everything of it is killed when it goes.
#[derive(Debug)]
pub struct Host<'a> {
    person: &'a Person,
    /// Stands for the host's own process.
    process: Child,
    folder: PathBuf,
    id: String,
    socket: PathBuf,
    posted: mpsc::Receiver<Value>,
    server: Option<Server>,
    requests: u64,
}

#[derive(Debug)]
struct Server {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<Value>,
}

impl<'a> Host<'a> {
    /// A host in a folder of this name, with its session served.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(person: &'a Person, folder: &str) -> Self {
        let mut host = Self::without_server(person, folder);
        host.serve(&[]);
        host.begin();
        host
    }

    /// A host whose session nothing serves yet.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn without_server(person: &'a Person, folder: &str) -> Self {
        let folder = person.home().join("work").join(folder);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let id = uuid();
        let socket = person.home().join(format!("{}.sock", &id[id.len() - 8..]));
        let (found, posted) = mpsc::channel();
        let listener = UnixListener::bind(&socket).expect("a socket can be made");
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let line = serde_json::from_str(&line).expect("each line is JSON");
                    if found.send(line).is_err() {
                        return;
                    }
                }
            }
        });
        let process = Command::new("sleep").arg("1000").env("CLAUDEMESH_HOME", person.home()).spawn().expect("it runs");
        Self { person, process, folder, id, socket, posted, server: None, requests: 0 }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.person.command(args);
        command
            .current_dir(&self.folder)
            .env("CLAUDE_CODE_MESSAGING_SOCKET", &self.socket)
            .env("CLAUDE_CODE_MESSAGING_TOKEN", "open sesame")
            .env("CLAUDE_PROJECT_DIR", &self.folder)
            .env("CLAUDE_PID", self.process.id().to_string());
        command
    }

    /// Starts `claudemesh mcp`.
    ///
    /// # Panics
    /// It does not start.
    pub fn serve(&mut self, options: &[&str]) {
        let mut command = self.command(&[&["mcp"], options].concat());
        command.env("CLAUDE_CODE_SESSION_ID", &self.id).stdin(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the binary runs");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (found, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let line = |line: String| serde_json::from_str(&line).expect("every line of the server is JSON");
            out.lines().map_while(Result::ok).all(|text| found.send(line(text)).is_ok())
        });
        let input = child.stdin.take();
        self.server = Some(Server { child, input, lines });
    }

    /// Shakes hands as the host does; what the server says of itself.
    ///
    /// # Panics
    /// It does not answer.
    pub fn begin(&mut self) -> Value {
        let client = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "claude-code", "version": "2.1.329"}
        });
        let probe = self.ask("server/discover", json!({"_meta": client}));
        assert_eq!(probe["error"]["code"], -32022, "{probe}");
        let hello = self.ask(
            "initialize",
            json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"roots": {}},
                "clientInfo": {"name": "claude-code", "version": "2.1.329"}
            }),
        );
        self.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        hello["result"].clone()
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the session is served")
    }

    /// Writes a line to the server.
    ///
    /// # Panics
    /// It does not take it.
    pub fn write(&mut self, line: &Value) {
        let input = self.server().input.as_mut().expect("it is open");
        input.write_all(format!("{line}\n").as_bytes()).expect("the server reads");
    }

    /// Asks the server, and returns its answer.
    ///
    /// # Panics
    /// None comes.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let line = self.line();
            if line["id"] == id {
                return line;
            }
        }
    }

    /// The next line of the server.
    ///
    /// # Panics
    /// None comes.
    pub fn line(&mut self) -> Value {
        self.server().lines.recv_timeout(PATIENCE).expect("the server says something")
    }

    /// Calls a tool; its text.
    ///
    /// # Panics
    /// It fails.
    pub fn tool(&mut self, name: &str, arguments: Value) -> String {
        let answer = self.ask("tools/call", json!({"name": name, "arguments": arguments}));
        assert!(answer["result"]["isError"] != true, "{answer}");
        answer
            .pointer("/result/content/0/text")
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    /// Calls a tool that fails; what it says.
    ///
    /// # Panics
    /// It does not.
    pub fn fails(&mut self, name: &str, arguments: Value) -> String {
        let answer = self.ask("tools/call", json!({"name": name, "arguments": arguments}));
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        answer
            .pointer("/result/content/0/text")
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    /// Runs a hook; what it printed.
    ///
    /// # Panics
    /// It fails, which no hook may.
    pub fn hook(&self, event: &str, input: Value) -> Value {
        let mut about = json!({"session_id": self.id, "cwd": self.folder, "transcript_path": "/nowhere"});
        about.as_object_mut().expect("it is one").extend(input.as_object().expect("it is one").clone());
        let mut command = self.command(&["hook", event]);
        command.stdin(Stdio::piped());
        let ran = Ran::of(&format!("hook {event}"), &mut command, Some(about.to_string().as_bytes()));
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        if ran.out.is_empty() { Value::Null } else { serde_json::from_str(&ran.out).expect("a hook prints JSON") }
    }

    /// The conversation begins anew under another id, as after it was cleared.
    pub fn clear(&mut self) {
        self.hook("session-end", json!({"reason": "clear"}));
        self.id = uuid();
        self.hook("session-start", json!({"source": "clear"}));
    }

    /// The text of the next notice that was written to the session's socket.
    ///
    /// # Panics
    /// None comes.
    #[must_use]
    pub fn notice(&self) -> String {
        let opening = self.posted.recv_timeout(PATIENCE).expect("something is written to the session");
        assert_eq!(opening, json!({"type": "auth", "token": "open sesame"}));
        let line = self.posted.recv_timeout(PATIENCE).expect("a message follows");
        assert_eq!((&line["type"], &line["message"]["role"]), (&json!("user"), &json!("user")));
        line["message"]["content"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    /// Takes the next notice as the host does when it begins a turn with it.
    ///
    /// # Panics
    /// None comes.
    pub fn take_notice(&self) -> String {
        let text = self.notice();
        self.hook("prompt", json!({"prompt": text, "permission_mode": "default"}));
        text
    }

    /// Whether something was written to the session that nobody looked at yet.
    #[must_use]
    pub fn has_notice(&self) -> bool {
        self.posted.recv_timeout(Duration::ZERO).is_ok()
    }

    /// Ends the server's input; how it ends.
    ///
    /// # Panics
    /// It does not end.
    pub fn close(&mut self) -> ExitStatus {
        self.server().input = None;
        self.ended()
    }

    /// Interrupts the server; how it ends.
    ///
    /// # Panics
    /// It does not end.
    pub fn interrupt(&mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.server().child);
        kill_process(pid, Signal::INT).expect("it runs");
        self.ended()
    }

    fn ended(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("the session is served");
        // Its output ends with it.
        while server.lines.recv_timeout(PATIENCE).is_ok() {}
        server.child.wait().expect("a child ends")
    }

    /// Kills the server.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill_server(&mut self) {
        let mut server = self.server.take().expect("the session is served");
        server.child.kill().expect("it runs");
        server.child.wait().expect("a child ends");
    }

    /// The host dies, and all of it.
    ///
    /// # Panics
    /// It does not run.
    pub fn crash(mut self) {
        self.process.kill().expect("it runs");
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(mut server) = self.server.take() {
            let _ = server.child.kill();
            let _ = server.child.wait();
        }
    }
}
