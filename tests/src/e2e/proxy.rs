//! A wire between client and broker that can go dead without anybody being told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A TCP proxy on a port of its own.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    wires: Arc<Wires>,
}

#[derive(Debug, Default)]
struct Wires {
    /// Connections up to this number swallow whatever is sent.
    dead: AtomicU64,
    opened: AtomicU64,
    swallowed: AtomicUsize,
}

impl Proxy {
    /// Forwards to `target`.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let wires = Arc::<Wires>::default();
        let (shared, target) = (wires.clone(), target.to_owned());
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let number = shared.opened.fetch_add(1, Ordering::SeqCst) + 1;
                let Ok(far) = TcpStream::connect(&target) else { continue };
                for (from, to) in [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())] {
                    let (Ok(from), Ok(to), shared) = (from, to, shared.clone()) else { continue };
                    std::thread::spawn(move || carry(from, to, number, &shared));
                }
            }
        });
        Self { address, wires }
    }

    /// Its address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Every connection there is goes dead: nothing is forwarded, nothing is closed. New ones work.
    pub fn deaden(&self) {
        self.wires.dead.store(self.wires.opened.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// How many connections were opened through it.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.wires.opened.load(Ordering::SeqCst)
    }

    /// How many bytes went into dead connections.
    #[must_use]
    pub fn swallowed(&self) -> usize {
        self.wires.swallowed.load(Ordering::SeqCst)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, number: u64, wires: &Wires) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if number <= wires.dead.load(Ordering::SeqCst) {
            wires.swallowed.fetch_add(count, Ordering::SeqCst);
        } else if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if number > wires.dead.load(Ordering::SeqCst) {
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}
