//! Rates: token buckets in whole numbers, so that the same calls give the same answers.

use claudemesh_core::Millis;

/// So many at once, and so many a second after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens the bucket holds when it is full.
    pub burst: u64,
    /// Tokens that flow back every second.
    pub per_second: u64,
}

/// A token bucket. Full at first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    /// Thousandths of tokens.
    level: u64,
    at: Millis,
}

impl Bucket {
    pub(crate) const fn new(rate: Rate, now: Millis) -> Self {
        let burst = if rate.burst == 0 { 1 } else { rate.burst };
        Self { rate, level: burst.saturating_mul(1000), at: now }
    }

    /// Takes `tokens`, or says in how many milliseconds they will be there. A request for more than the bucket holds
    /// passes when the bucket is full, and is paid for afterwards by an empty one.
    pub(crate) fn take(&mut self, tokens: u64, now: Millis) -> Result<(), u64> {
        let full = self.rate.burst.max(1).saturating_mul(1000);
        let gained = now.since(self.at).saturating_mul(self.rate.per_second);
        self.level = self.level.saturating_add(gained).min(full);
        self.at = now;
        let wanted = tokens.saturating_mul(1000).min(full);
        if self.level >= wanted {
            self.level -= wanted;
            return Ok(());
        }
        Err((wanted - self.level).div_ceil(self.rate.per_second.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills() {
        let mut bucket = Bucket::new(Rate { burst: 10, per_second: 5 }, Millis(0));
        assert_eq!(bucket.take(10, Millis(0)), Ok(()));
        assert_eq!(bucket.take(1, Millis(0)), Err(200));
        assert_eq!(bucket.take(1, Millis(200)), Ok(()));
        assert_eq!(bucket.take(10, Millis(200)), Err(2000));
        assert_eq!(bucket.take(100, Millis(100_000)), Ok(()), "never more than the bucket holds");
        assert_eq!(bucket.take(1, Millis(0)), Err(200), "a clock set back gives nothing");
    }

    #[test]
    fn a_rate_of_zero_never_divides() {
        let mut bucket = Bucket::new(Rate { burst: 0, per_second: 0 }, Millis(0));
        assert_eq!(bucket.take(1, Millis(0)), Ok(()));
        assert_eq!(bucket.take(1, Millis(0)), Err(1000));
    }
}
