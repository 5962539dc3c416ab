//! Sessions over the local API.

use std::time::Duration;

use futures_util::FutureExt;

use super::Attached;
use super::http::Request;
use super::rooms::{attach, call};
use crate::api;
use crate::local::MeshParams;
use crate::service::{Call, MeshSelector, Sessions, session_calls};

session_calls!(attach);
