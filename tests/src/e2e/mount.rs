//! Another view of the file system for some processes: a small disk, or one that cannot be written.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A mount that only those see who enter it. It goes with its last process.
#[derive(Debug)]
pub struct Mount {
    holder: Child,
    path: PathBuf,
}

impl Mount {
    /// A disk of this many KiB on a folder; none without the right to mount.
    #[must_use]
    pub fn disk(path: &Path, kib: u32) -> Option<Arc<Self>> {
        Self::make(path, &format!("mount -t tmpfs -o size={kib}k,mode=0700 tmpfs \"$1\""))
    }

    /// A folder as it is, but not to be written; none without the right to mount.
    #[must_use]
    pub fn read_only(path: &Path) -> Option<Arc<Self>> {
        Self::make(path, "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"")
    }

    fn make(path: &Path, mount: &str) -> Option<Arc<Self>> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("left out: only root can mount");
            return None;
        }
        std::fs::create_dir_all(path).expect("a folder can be made");
        let script = format!("{mount} && echo ready && exec cat");
        let mut holder = Command::new("unshare")
            .args(["-m", "sh", "-c", &script, "sh"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut line = String::new();
        let _ = BufReader::new(holder.stdout.take().expect("it is piped")).read_line(&mut line);
        if line != "ready\n" {
            let mut why = String::new();
            let _ = holder.stderr.take().expect("it is piped").read_to_string(&mut why);
            panic!("root cannot mount: {why}");
        }
        Some(Arc::new(Self { holder, path: path.to_owned() }))
    }

    /// A program that sees the mount.
    #[must_use]
    pub fn enter(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id())).arg("--").arg(program);
        command
    }

    /// A file as those see it who entered.
    #[must_use]
    pub fn view(&self, path: &Path) -> PathBuf {
        let path = path.strip_prefix("/").unwrap_or(path);
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(path)
    }

    /// Takes the space that is left.
    ///
    /// # Panics
    /// Something else than a full disk ends it.
    pub fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.view(&self.path.join("filler")))
            .expect("a file can be made");
        for size in [64 * 1024, 4096, 512] {
            let bytes = vec![0; size];
            let error = loop {
                if let Err(error) = file.write_all(&bytes) {
                    break error;
                }
            };
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        }
    }

    /// Gives back what [`Mount::fill`] took.
    ///
    /// # Panics
    /// Nothing was taken.
    pub fn free(&self) {
        std::fs::remove_file(self.view(&self.path.join("filler"))).expect("it was filled");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
