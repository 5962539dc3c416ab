//! Many programs at work: sessions attached to the daemons of several homes, and somebody who kills these and the broker.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};

use claudemesh_client::{Error, Mesh};
use claudemesh_core::testing::SeededRng;

use super::{Broker, PATIENCE, Person, Scene};

/// Homes on one broker, all of one mesh.
#[derive(Debug)]
pub struct Crew {
    broker: Broker,
    homes: Vec<Arc<Person>>,
}

/// A program that uses the SDK: a session of a home.
#[derive(Clone, Debug)]
pub struct Worker {
    home: Arc<Person>,
    /// Its mesh.
    pub mesh: Mesh,
    /// Its session; no other worker's.
    pub session: String,
}

/// How many processes were killed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kills {
    /// Daemons.
    pub daemons: usize,
    /// Brokers.
    pub brokers: usize,
}

impl Crew {
    /// So many homes, each knowing all others.
    ///
    /// # Panics
    /// They cannot be made.
    #[must_use]
    pub fn new(scene: &Scene, homes: usize) -> Self {
        let broker = scene.broker();
        let founder = scene.founder("home0", &broker);
        let link = super::text_of(&founder.ok(&["invite", "--uses", "100"]), "/link");
        let mut all = vec![founder];
        for number in 1..homes {
            let home = scene.person(&format!("home{number}"));
            home.ok(&["join", &link, "--name", home.name()]);
            all.push(home);
        }
        for home in &all {
            all.iter().for_each(|other| home.knows(other.name()));
        }
        Self { broker, homes: all.into_iter().map(Arc::new).collect() }
    }

    /// Workers, spread over the homes, each a session of its own.
    ///
    /// # Panics
    /// A daemon does not answer.
    pub async fn workers(&self, count: usize) -> Vec<Worker> {
        let mut workers = Vec::new();
        for (number, home) in (0..count).zip(self.homes.iter().cycle()) {
            let session = format!("worker{number}");
            let mesh = Mesh::builder().home(home.home()).session(&session).attach().open().await.expect("it runs");
            workers.push(Worker { home: home.clone(), mesh, session });
        }
        workers
    }

    /// Kills a daemon or the broker after every `pace` to `2 * pace` ticks, until nobody ticks any more. What nobody else
    /// starts again, the broker, is started at once.
    ///
    /// # Panics
    /// Nobody ticks for a long time.
    pub fn kill_now_and_then(&mut self, pace: u64, ticks: &mpsc::Receiver<()>) -> Kills {
        let seed = u64::from(std::process::id());
        println!("kills: seed {seed}");
        let mut rng = SeededRng::new(seed);
        let mut below = |n: u64| rand_core::Rng::next_u64(&mut rng) % n;
        let mut kills = Kills::default();
        loop {
            for _ in 0..pace + below(pace) {
                match ticks.recv_timeout(PATIENCE) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return kills,
                    Err(RecvTimeoutError::Timeout) => panic!("nothing happens any more, after {kills:?}"),
                }
            }
            if below(3) == 0 {
                self.broker.kill();
                self.broker.resume();
                kills.brokers += 1;
            } else {
                kills.daemons += self.homes[below(self.homes.len() as u64) as usize].kill();
            }
        }
    }
}

impl Worker {
    /// Asks until there is an answer, as a program does whose daemon or broker may go at any time. Any verb of the command
    /// line starts a daemon that has gone.
    ///
    /// # Errors
    /// Those that asking again does not help.
    pub async fn insist<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
        loop {
            match ask().await {
                Err(error) if error.is_retryable() => {
                    let home = self.home.clone();
                    let started = tokio::task::spawn_blocking(move || home.run(&["whoami", "--json"]));
                    // It fails when its daemon is killed again; then the next round finds out.
                    drop(started.await.expect("it does not panic"));
                }
                answer => return answer,
            }
        }
    }
}
