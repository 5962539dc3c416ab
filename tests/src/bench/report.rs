//! Figures as a table or as JSON.

use serde_json::{Value, json};

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
enum Floor {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Clone, Debug)]
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    floor: Option<Floor>,
}

impl Figure {
    fn holds(&self) -> bool {
        match self.floor {
            Some(Floor::AtLeast(floor)) => self.value >= floor,
            Some(Floor::AtMost(floor)) => self.value <= floor,
            None => true,
        }
    }
}

/// Everything one run found.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    system: Vec<(&'static str, String)>,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(system: Vec<(&'static str, String)>) -> Self {
        Self { system, figures: Vec::new(), notes: Vec::new() }
    }

    fn add(&mut self, what: &str, value: f64, unit: &'static str, floor: Option<Floor>) {
        self.figures.push(Figure { what: what.into(), value, unit, floor });
    }

    pub(crate) fn plain(&mut self, what: &str, value: f64, unit: &'static str) {
        self.add(what, value, unit, None);
    }

    pub(crate) fn at_least(&mut self, what: &str, value: f64, unit: &'static str, floor: f64) {
        self.add(what, value, unit, Some(Floor::AtLeast(floor)));
    }

    pub(crate) fn at_most(&mut self, what: &str, value: f64, unit: &'static str, floor: f64) {
        self.add(what, value, unit, Some(Floor::AtMost(floor)));
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// How many figures missed their floor.
    pub(crate) fn missed(&self) -> usize {
        self.figures.iter().filter(|figure| !figure.holds()).count()
    }

    #[allow(clippy::print_stdout)]
    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", self.json());
            return;
        }
        for (name, value) in &self.system {
            println!("{name:<12} {value}");
        }
        println!();
        for figure in &self.figures {
            let floor = match figure.floor {
                Some(Floor::AtLeast(floor)) => format!("  floor ≥ {}", round(floor)),
                Some(Floor::AtMost(floor)) => format!("  floor ≤ {}", round(floor)),
                None => String::new(),
            };
            let missed = if figure.holds() { "" } else { "  MISSED" };
            println!("{:<52} {:>12} {:<11}{floor}{missed}", figure.what, round(figure.value), figure.unit);
        }
        for note in &self.notes {
            println!("\n{note}");
        }
    }

    fn json(&self) -> Value {
        let figures = self.figures.iter().map(|figure| {
            let (least, most) = match figure.floor {
                Some(Floor::AtLeast(floor)) => (Some(floor), None),
                Some(Floor::AtMost(floor)) => (None, Some(floor)),
                None => (None, None),
            };
            json!({
                "what": figure.what, "value": figure.value, "unit": figure.unit,
                "at_least": least, "at_most": most, "holds": figure.holds(),
            })
        });
        let system: serde_json::Map<String, Value> =
            self.system.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({ "system": system, "figures": figures.collect::<Vec<_>>(), "notes": self.notes })
    }
}

fn round(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The `part`-th quantile of unsorted times, in milliseconds.
pub(crate) fn quantile(times: &mut [std::time::Duration], part: f64) -> f64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let at = (last as f64 * part).round() as usize;
    times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
