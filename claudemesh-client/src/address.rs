//! What people type to name members, messages and things, and what is said when it does not fit.

use claudemesh_core::address::{Candidate, MemberRef, ResolveError, resolve};
use claudemesh_core::{MemberId, MessageId};

use crate::error::{Error, ErrorKind};

pub(crate) use claudemesh_core::address::suggest as near;

/// The one member among the candidates.
pub(crate) fn choose<'a>(
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    wanted: &MemberRef,
    text: &str,
) -> Result<MemberId, Error> {
    match resolve(candidates, wanted) {
        Ok(member) => Ok(member),
        Err(ResolveError::Ambiguous { candidates }) => {
            let fits: Vec<String> = candidates
                .iter()
                .map(|(id, name)| format!("{} ({})", name.as_deref().unwrap_or("?"), &id.to_string()[..12]))
                .collect();
            Err(Error::new(ErrorKind::Ambiguous, format!("{text:?} fits several members: {}", fits.join(", ")))
                .with_hint("use 8 or more digits of the key"))
        }
        Err(ResolveError::Unknown { suggestions }) => {
            let hint = if suggestions.is_empty() {
                "see `claudemesh peers`".to_owned()
            } else {
                format!("did you mean {}?", suggestions.join(", "))
            };
            Err(Error::new(ErrorKind::NotFound, format!("nobody here is called {text:?}")).with_hint(hint))
        }
        Err(error) => Err(Error::new(ErrorKind::NotFound, error.to_string())),
    }
}

pub(crate) fn message_id(text: &str) -> Result<MessageId, Error> {
    text.parse().map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{text:?} is no message id"))
            .with_hint("message ids are UUIDs, like 0198c0de-0000-7000-8000-000000000000")
            .with_source(error)
    })
}
