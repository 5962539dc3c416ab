//! Streams made of long polls: ask, hand out what came, ask on from there.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::{Error, ErrorKind};

/// How long one question waits at the far end.
pub(super) const WAIT_MS: u64 = 30_000;
/// How long the far end may be away before the reader is told. It covers a restart, not a stop.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The least time between two questions without an answer: a far end that does not wait is not asked all the time.
const BREATH: Duration = Duration::from_millis(200);

/// What came, and the place to ask on from.
pub(super) type Batch<T> = (Vec<T>, String);
type Ask<T> = Box<dyn FnMut(String) -> BoxFuture<'static, Result<Batch<T>, Error>> + Send>;

struct Poll<T> {
    ready: VecDeque<T>,
    next: String,
    ask: Ask<T>,
    away: Option<(Instant, Duration)>,
    ended: bool,
}

/// The first batch, then what comes after it. An error that a restart does not explain is the last item.
pub(super) fn stream<T: Send + 'static>(
    (first, next): Batch<T>,
    ask: impl FnMut(String) -> BoxFuture<'static, Result<Batch<T>, Error>> + Send + 'static,
) -> BoxStream<'static, Result<T, Error>> {
    let poll = Poll { ready: first.into(), next, ask: Box::new(ask), away: None, ended: false };
    stream::unfold(poll, |mut poll| async move { poll.item().await.map(|item| (item, poll)) }).boxed()
}

impl<T> Poll<T> {
    async fn item(&mut self) -> Option<Result<T, Error>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            if self.ended {
                return None;
            }
            let asked = Instant::now();
            match (self.ask)(self.next.clone()).await {
                Ok((items, next)) => {
                    self.away = None;
                    self.next = next;
                    if items.is_empty() {
                        sleep_until(asked + BREATH).await;
                    }
                    self.ready.extend(items);
                }
                Err(error) => {
                    let (since, pause) = self.away.unwrap_or((asked, FIRST_PAUSE));
                    if error.kind() != ErrorKind::Unreachable || since.elapsed() > PATIENCE {
                        self.ended = true;
                        return Some(Err(error));
                    }
                    self.away = Some((since, LONGEST_PAUSE.min(pause * 2)));
                    sleep(pause).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt;

    use super::*;

    type Script = VecDeque<Result<Batch<u32>, ErrorKind>>;
    type Items = BoxStream<'static, Result<u32, Error>>;

    /// A stream whose far end follows a script and then stays away; with the places it was asked from.
    fn scripted(script: Script) -> (Items, Arc<Mutex<Vec<String>>>) {
        let (asked, mut script) = (Arc::<Mutex<Vec<String>>>::default(), script);
        let seen = Arc::clone(&asked);
        let ask = move |place: String| {
            seen.lock().unwrap().push(place);
            let answer = script.pop_front().unwrap_or(Err(ErrorKind::Unreachable));
            std::future::ready(answer.map_err(|kind| Error::new(kind, "as scripted"))).boxed()
        };
        (stream((vec![1], "a".into()), ask), asked)
    }

    async fn items(stream: Items) -> Vec<Result<u32, ErrorKind>> {
        stream.map(|item| item.map_err(|error| error.kind())).collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn each_question_starts_where_the_last_answer_ended() {
        let script = [Ok((vec![2, 3], "b".into())), Ok((vec![], "c".into())), Ok((vec![4], "d".into()))];
        let (stream, asked) = scripted(script.into_iter().chain([Err(ErrorKind::NotFound)]).collect());
        assert_eq!(items(stream).await, [Ok(1), Ok(2), Ok(3), Ok(4), Err(ErrorKind::NotFound)]);
        assert_eq!(*asked.lock().unwrap(), ["a", "b", "c", "d"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_goes_unnoticed_and_a_stop_is_told() {
        let script = [Err(ErrorKind::Unreachable), Err(ErrorKind::Unreachable), Ok((vec![2], "b".into()))];
        let (stream, asked) = scripted(script.into());
        let start = Instant::now();
        assert_eq!(items(stream).await, [Ok(1), Ok(2), Err(ErrorKind::Unreachable)]);
        assert!(start.elapsed() > PATIENCE && start.elapsed() < 2 * PATIENCE);
        assert!(asked.lock().unwrap().len() < 50);
    }

    #[tokio::test(start_paused = true)]
    async fn a_far_end_that_does_not_wait_is_not_hurried() {
        let script = (0..10).map(|_| Ok((vec![], "a".into()))).chain([Err(ErrorKind::Refused)]);
        let (stream, _) = scripted(script.collect());
        let start = Instant::now();
        assert_eq!(items(stream).await, [Ok(1), Err(ErrorKind::Refused)]);
        assert!(start.elapsed() >= 10 * BREATH);
    }
}
