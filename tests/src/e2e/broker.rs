//! `claudemesh broker run` as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use rustix::process::{Pid, Signal, kill_process};

use super::{Mount, PATIENCE, Ran, binary, free_address};

/// A broker over a folder, on an address that it keeps over restarts.
#[derive(Debug)]
pub struct Broker {
    address: String,
    data: PathBuf,
    mount: Option<Arc<Mount>>,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
}

impl Broker {
    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(data: &Path) -> Self {
        Self::start_within(data, None)
    }

    /// Starts one in another view of the file system.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_within(data: &Path, mount: Option<&Arc<Mount>>) -> Self {
        let mut broker = Self {
            address: free_address(),
            data: data.to_owned(),
            mount: mount.cloned(),
            child: None,
            log: Arc::default(),
        };
        broker.resume();
        broker
    }

    /// Its address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What it has logged, over all restarts.
    ///
    /// # Panics
    /// A reader of the log panicked.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("readers do not panic").clone()
    }

    /// Status and body of a plain request.
    ///
    /// # Panics
    /// There is no answer.
    #[must_use]
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("it speaks HTTP");
        (head[9..12].parse().expect("a status"), body.to_owned())
    }

    fn command(&self, listen: &str) -> Command {
        let mut command = match &self.mount {
            Some(mount) => mount.enter(&binary()),
            None => Command::new(binary()),
        };
        command.args(["broker", "run", "--json", "--listen", listen, "--data"]).arg(&self.data);
        command.env("CLAUDEMESH_LOG", "debug").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts it again at its address and waits until it listens.
    ///
    /// # Panics
    /// It does not start.
    pub fn resume(&mut self) {
        self.halt(Signal::KILL);
        let mut child = self.command(&self.address).spawn().expect("the binary runs");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        self.child = Some(child);
        let (listening, ready) = mpsc::channel();
        let log = self.log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let found = line.contains("\"listening\"");
                let mut log = log.lock().expect("readers do not panic");
                log.push_str(&line);
                log.push('\n');
                if found {
                    let _ = listening.send(());
                }
            }
        });
        let started = ready.recv_timeout(PATIENCE);
        assert!(started.is_ok(), "the broker does not listen: {}", self.log());
    }

    /// Runs a second one over the same folder, which must end by itself.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn rival(&self, listen: &str) -> Ran {
        Ran::of("a rival broker", &mut self.command(listen), None)
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.halt(Signal::KILL);
    }

    /// Asks it to end and waits.
    pub fn stop(&mut self) {
        self.halt(Signal::TERM);
    }

    /// Stops its process without ending it: connections stay open and silent.
    ///
    /// # Panics
    /// It does not run.
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).expect("it runs");
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// It does not run.
    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).expect("it runs");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("the broker runs"))
    }

    fn halt(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            let _ = kill_process(Pid::from_child(&child), signal);
            let _ = child.wait();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.halt(Signal::KILL);
        if let Ok(log) = self.log.lock() {
            super::person::no_bug(&log);
        }
    }
}
