//! A broker in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use claudemesh_broker::store::StoreError;
use claudemesh_broker::{Broker as Bound, BrokerError, Config};
use claudemesh_client::{Error, ErrorKind};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::call::{Answer, Call};
use crate::error;
use crate::runtime::{is_forked, runtime};

/// `claudemesh_broker::Broker`.
#[pyclass(module = "claudemesh._claudemesh")]
pub(crate) struct Broker {
    running: Option<Arc<Mutex<Option<Bound>>>>,
    url: String,
}

#[pymethods]
impl Broker {
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    fn close(&self) -> PyResult<Call> {
        runtime()?;
        let running = self.running.clone();
        Ok(Call::spawned(async move {
            let broker = match &running {
                Some(running) => running.lock().await.take(),
                None => None,
            };
            if let Some(broker) = broker {
                broker.shutdown().await;
            }
            Ok::<Answer, _>(Box::new(|py| Ok(py.None())))
        }))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let running = self.running.take();
        if is_forked() {
            std::mem::forget(running);
        }
    }
}

/// Starts a broker: in a folder, or in memory.
#[pyfunction]
pub(crate) fn start_broker(directory: Option<PathBuf>, listen: &str) -> PyResult<Call> {
    runtime()?;
    let listen: SocketAddr = listen.parse().map_err(|wrong| {
        let text = format!("{listen:?} is no address to listen on");
        let hint = "for example 127.0.0.1:7900, or port 0 for a free one";
        error::raise(Error::new(ErrorKind::Usage, text).with_hint(hint).with_source(wrong))
    })?;
    Ok(Call::spawned(async move {
        let config = match directory {
            Some(directory) => Config::in_directory(directory),
            None => Config::in_memory(),
        };
        let broker = Bound::bind(config.with_listen(listen)).await.map_err(|error| told(error, listen))?;
        let url = broker.url();
        let running = Some(Arc::new(Mutex::new(Some(broker))));
        Ok::<Answer, _>(Box::new(|py| Ok(Py::new(py, Broker { running, url })?.into_any())))
    }))
}

fn told(error: BrokerError, listen: SocketAddr) -> Error {
    let kind = match &error {
        BrokerError::Listen(source) if source.kind() == std::io::ErrorKind::AddrInUse => ErrorKind::Conflict,
        BrokerError::Listen(_) => ErrorKind::Refused,
        BrokerError::Store(StoreError::Locked) => ErrorKind::Locked,
        BrokerError::Store(StoreError::UnknownSchema { .. } | StoreError::Corrupt(_) | StoreError::Foreign) => {
            ErrorKind::Corrupt
        }
        _ => ErrorKind::Unwritable,
    };
    Error::new(kind, format!("no broker can be started at {listen}: {error}")).with_source(error)
}
