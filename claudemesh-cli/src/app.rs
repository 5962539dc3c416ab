//! One run of the program: its options, its streams, and its way to the home's daemon.

use std::io::{self, BufRead, BufReader, IsTerminal};
use std::sync::Arc;

use claudemesh_client::Error;
use claudemesh_client::service::Service;
use futures_util::future::BoxFuture;

use crate::args::Global;
use crate::output::{Output, Stream};
use crate::projection::Fields;
use crate::spinner::patiently;
use crate::{connect, daemon, signal};

const CLOCK_SKEW: &str = "this clock and the broker's differ by more than a day: mail may be held until they agree; \
    nothing is lost; set the clock right";
const INCOMPLETE: &str = "older parts of what this mesh shares cannot be read here yet: a member who has their key hands \
    it on when it is online; `claudemesh status` shows which parts";

/// Standard input.
pub(crate) struct Input {
    /// Where it is read.
    pub(crate) reader: Box<dyn BufRead + Send>,
    /// Whether a person types it.
    pub(crate) terminal: bool,
}

/// Who answers.
enum Backend {
    /// The home's daemon.
    Daemon,
    /// A service given by a test, which also says when to stop.
    #[cfg(test)]
    Given(Arc<dyn Service>),
}

/// What a command works with.
pub(crate) struct App {
    /// Global flags.
    pub(crate) global: Global,
    /// Standard output and error.
    pub(crate) output: Output,
    /// Standard input.
    pub(crate) input: Input,
    backend: Backend,
    /// Who answered, to be asked for its warnings.
    asked: Option<Arc<dyn Service>>,
}

impl App {
    /// This process.
    pub(crate) fn new(json: bool) -> Self {
        let output = Output { json, fields: Fields::default(), out: Stream::stdout(), err: Stream::stderr() };
        let input = Input { reader: Box::new(BufReader::new(io::stdin())), terminal: io::stdin().is_terminal() };
        Self { global: Global::default(), output, input, backend: Backend::Daemon, asked: None }
    }

    /// A run against a service given by a test.
    #[cfg(test)]
    pub(crate) fn with(service: Arc<dyn Service>, output: Output, input: Input) -> Self {
        Self { global: Global::default(), output, input, backend: Backend::Given(service), asked: None }
    }

    /// The mesh named by `--mesh`.
    pub(crate) fn mesh(&self) -> Option<&str> {
        self.global.mesh.as_deref()
    }

    /// Reaches the home's daemon. Called as late as possible: a usage error starts no daemon.
    ///
    /// # Errors
    /// It cannot be started or reached.
    pub(crate) async fn service(&mut self) -> Result<Arc<dyn Service>, Error> {
        let service = match &self.backend {
            Backend::Daemon => patiently(&self.output, "starting the daemon", connect::connect(&self.global)).await?,
            #[cfg(test)]
            Backend::Given(service) => Arc::clone(service),
        };
        self.asked = Some(Arc::clone(&service));
        Ok(service)
    }

    /// Reaches the home's daemon if one runs.
    ///
    /// # Errors
    /// None runs, or it cannot be reached.
    pub(crate) async fn attached(&self) -> Result<Arc<dyn Service>, Error> {
        match &self.backend {
            Backend::Daemon => connect::attach().await,
            #[cfg(test)]
            Backend::Given(service) => Ok(Arc::clone(service)),
        }
    }

    /// Says what goes with every answer about a mesh. Once in a run: who was told is not told again.
    pub(crate) async fn warn(&mut self) {
        if let Some(service) = self.asked.take() {
            self.warn_of(&*service).await;
        }
    }

    /// Says it of a service in this process.
    pub(crate) async fn warn_of(&mut self, service: &dyn Service) {
        for warning in service.warnings(self.mesh()).await {
            self.output.warn(match warning.as_str() {
                "clock_skew" => CLOCK_SKEW,
                "incomplete" => INCOMPLETE,
                other => other,
            });
        }
    }

    /// Stops the home's daemon, if one runs.
    ///
    /// # Errors
    /// It does not stop.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        match &self.backend {
            Backend::Daemon => {
                let stopped = connect::stop(&self.global);
                patiently(&self.output, "waiting for the daemon to stop", stopped).await.map(|_| ())
            }
            #[cfg(test)]
            Backend::Given(service) => service.shutdown().await,
        }
    }

    /// Starts the daemon in this process.
    ///
    /// # Errors
    /// The home cannot be used.
    pub(crate) async fn host(&self) -> Result<daemon::Running, Error> {
        match &self.backend {
            Backend::Daemon => daemon::start(&self.global).await,
            #[cfg(test)]
            Backend::Given(service) => {
                let service = Arc::clone(service);
                let ended = Arc::clone(&service);
                let serve: daemon::Serve = Box::new(move |stop| {
                    Box::pin(async move {
                        stop.await;
                        ended.shutdown().await
                    })
                });
                Ok(daemon::Running { service, serve })
            }
        }
    }

    /// Ends when the user asks this process to end.
    ///
    /// # Errors
    /// Signals cannot be listened for.
    pub(crate) fn interrupted(&self) -> Result<BoxFuture<'static, ()>, Error> {
        match &self.backend {
            Backend::Daemon => signal::interrupted(),
            #[cfg(test)]
            Backend::Given(_) => Ok(Box::pin(std::future::ready(()))),
        }
    }
}
