//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

pub(crate) const HELP: &str = "\
Measures claudemesh on this machine.

Usage: cargo xtask bench -- [OPTIONS]

  --only PARTS      store,shell,latency,throughput,topics,history,epoch,python,jetstream (default: all)
  --seconds N       how long each rate is measured (default: 5)
  --pairs N         pairs of sender and receiver (default: 8)
  --window N        messages under way for each pair (default: 32)
  --size N          bytes of a message or post (default: 256)
  --posts N         posts under way for the writer of a topic (default: 1024)
  --readers N       readers of a topic that many read (default: 50)
  --history N       posts of a long topic (default: 100000)
  --devices N       devices of a mesh whose epoch is rotated, 511 at most (default: 500)
  --dir PATH        where homes and stores lie during the run (default: the temporary folder)
  --binary PATH     the `claudemesh` to run (default: the one built beside this program)
  --python PATH     a Python that has the module (default: none, and it is left out)
  --wheel PATH      the wheel it was installed from
  --nats ADDR       a NATS server with JetStream (default: 127.0.0.1:4222; left out when it does not answer)
  --check           fail when a floor is missed
  --json            print JSON";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Store,
    Shell,
    Latency,
    Throughput,
    Topics,
    History,
    Epoch,
    Python,
    Jetstream,
}

const PARTS: [(&str, Part); 9] = [
    ("store", Part::Store),
    ("shell", Part::Shell),
    ("latency", Part::Latency),
    ("throughput", Part::Throughput),
    ("topics", Part::Topics),
    ("history", Part::History),
    ("epoch", Part::Epoch),
    ("python", Part::Python),
    ("jetstream", Part::Jetstream),
];

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    only: Vec<Part>,
    seconds: u64,
    pub(crate) pairs: usize,
    pub(crate) window: usize,
    pub(crate) size: usize,
    pub(crate) posts: usize,
    pub(crate) readers: usize,
    pub(crate) history: usize,
    pub(crate) devices: usize,
    dir: Option<PathBuf>,
    pub(crate) binary: Option<PathBuf>,
    pub(crate) python: Option<PathBuf>,
    pub(crate) wheel: Option<PathBuf>,
    pub(crate) nats: String,
    pub(crate) check: bool,
    pub(crate) json: bool,
}

impl Options {
    /// None when only help was asked for, which is printed.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            only: Vec::new(),
            seconds: 5,
            pairs: 8,
            window: 32,
            size: 256,
            posts: 1024,
            readers: 50,
            history: 100_000,
            devices: 500,
            dir: None,
            binary: None,
            python: None,
            wheel: None,
            nats: "127.0.0.1:4222".into(),
            check: false,
            json: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--only" => {
                    for name in value()?.split(',') {
                        let part = PARTS.iter().find(|(known, _)| *known == name).map(|(_, part)| *part);
                        options.only.push(part.ok_or_else(|| format!("{name:?} is no part"))?);
                    }
                }
                "--seconds" => options.seconds = number(&value()?)? as u64,
                "--pairs" => options.pairs = number(&value()?)?,
                "--window" => options.window = number(&value()?)?,
                "--size" => options.size = number(&value()?)?,
                "--posts" => options.posts = number(&value()?)?,
                "--readers" => options.readers = number(&value()?)?,
                "--history" => options.history = number(&value()?)?,
                "--devices" => options.devices = number(&value()?)?.min(511),
                "--dir" => options.dir = Some(value()?.into()),
                "--binary" => options.binary = Some(value()?.into()),
                "--python" => options.python = Some(value()?.into()),
                "--wheel" => options.wheel = Some(value()?.into()),
                "--nats" => options.nats = value()?,
                "--check" => options.check = true,
                "--json" => options.json = true,
                "--" => {}
                "-h" | "--help" => {
                    eprintln!("{HELP}");
                    return Ok(None);
                }
                _ => return Err(format!("unknown option {word:?}")),
            }
        }
        Ok(Some(options))
    }

    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub(crate) fn seconds(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub(crate) fn text(&self) -> String {
        "m".repeat(self.size)
    }

    /// A folder for this run, deleted after it.
    pub(crate) fn folder(&self) -> std::io::Result<TempDir> {
        let builder = || tempfile::Builder::new().prefix("claudemesh-bench-").to_owned();
        match &self.dir {
            Some(dir) => builder().tempdir_in(dir),
            None => builder().tempdir(),
        }
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("{text:?} is no number above 0"))
}
