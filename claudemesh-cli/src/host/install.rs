//! Installing beside Claude Code, and undoing it.
//!
//! The plugin lies in the home. The host finds it by one link in its folder of skills; its settings are only touched for
//! what the user asks for besides. What was there before is kept in a copy beside the settings and comes back byte for
//! byte; settings that were changed since lose our entries and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use claudemesh_client::{Error, ErrorKind, Home};

use super::bundle::{self, Caller, PLUGIN};
use super::claude::Place;
use super::file::Found;
use super::plan::{Change, Step, carry_out, check};
use super::record::{self, Edited, Placed, Record, Wishes, hash};
use super::settings;

/// What is to be done, found out to be possible.
#[derive(Debug)]
pub(crate) struct Plan {
    home: Home,
    steps: Vec<Step>,
}

impl Plan {
    fn of(home: &Home, steps: Vec<Step>) -> Result<Self, Error> {
        check(&steps)?;
        Ok(Self { home: home.clone(), steps })
    }

    /// Whether anything is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps that concern files of the user's.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.steps.iter().filter_map(Step::change).collect()
    }

    /// Does it.
    ///
    /// # Errors
    /// A step cannot be done.
    pub(crate) fn carry_out(self) -> Result<(), Error> {
        if !self.steps.is_empty() {
            self.home.create()?;
        }
        carry_out(self.steps)
    }
}

/// Where the host looks for the plugin.
pub(crate) fn link(place: &Place) -> PathBuf {
    place.skills().join(PLUGIN)
}

/// What lies where the host looks for the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    /// Nothing.
    Nothing,
    /// A link to this home's plugin.
    Here,
    /// A link to the plugin of a home that is gone.
    Gone,
    /// Something else.
    Other,
}

/// Looks what lies there.
pub(crate) fn linked(place: &Place, home: &Home) -> Linked {
    let at = link(place);
    match fs::read_link(&at) {
        Ok(target) if target == record::plugin(home) => Linked::Here,
        Ok(target) if target.ends_with("claude-code/plugin") && !target.exists() => Linked::Gone,
        Ok(_) => Linked::Other,
        Err(_) if fs::symlink_metadata(&at).is_ok() => Linked::Other,
        Err(_) => Linked::Nothing,
    }
}

/// Whether the host loads the plugin by itself: by our link, or because it got it from a marketplace.
pub(crate) fn is_loaded(place: &Place, home: &Home) -> bool {
    let market = || {
        let found = Found::read(&place.settings()).ok()?;
        let settings = settings::understood(found.bytes(), found.path()).ok()?;
        settings::from_marketplace(&settings).map(drop)
    };
    linked(place, home) == Linked::Here || market().is_some()
}

/// What installing takes. What was asked for before stays asked for.
///
/// # Errors
/// Something else lies in the plugin's place; the settings cannot be understood or written, or have another's status
/// line; the home cannot be written.
pub(crate) fn install(home: &Home, place: &Place, caller: &Caller, asked: Wishes) -> Result<Plan, Error> {
    let before = Record::read(home)?;
    let mut after = before.clone();
    let mut steps = Vec::new();
    let plugin = record::plugin(home);

    let mut placed = before.place(place.folder()).cloned().unwrap_or_else(|| Placed {
        folder: place.folder().to_owned(),
        made: Vec::new(),
        settings: None,
    });
    let (content, edited) = edit(place, caller, asked, placed.settings.as_ref())?;
    placed.settings = edited;
    let mut link_steps = Vec::new();
    let found = linked(place, home);
    if found == Linked::Other {
        return Err(occupied(place));
    }
    if found != Linked::Here {
        let missing = missing_folders(&place.skills());
        placed.made.extend(missing.iter().filter(|folder| !placed.made.contains(folder)).cloned().collect::<Vec<_>>());
        link_steps.extend(missing.into_iter().map(Step::Folder));
        link_steps.extend((found == Linked::Gone).then(|| Step::Unlink(link(place))));
        link_steps.push(Step::Link { at: link(place), to: plugin.clone() });
    }
    after.places.retain(|other| other.folder != placed.folder);
    after.places.push(placed);

    let files = bundle::render(caller)?;
    after.files = files.iter().map(|(path, _)| (*path).to_owned()).collect();
    let old = before.files.iter().filter(|old| !after.files.contains(old));
    steps.extend(old.map(|old| Step::Discard(plugin.join(old))));
    steps.extend(write_own(&plugin, &files)?);
    if after != before {
        steps.push(save(home, &after)?);
    }
    steps.extend(link_steps);
    // Last: when the record is not written, the settings are as they were.
    steps.extend(content);
    Plan::of(home, steps)
}

/// Writes the plugin's files into the home, where nothing but this program looks for them, and returns their folder.
///
/// # Errors
/// The home cannot be written.
pub(crate) fn provide(home: &Home, caller: &Caller) -> Result<PathBuf, Error> {
    let mut record = Record::read(home)?;
    let plugin = record::plugin(home);
    let files = bundle::render(caller)?;
    let mut steps = write_own(&plugin, &files)?;
    let names: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
    if record.files != names {
        record.files = names;
        steps.push(save(home, &record)?);
    }
    Plan::of(home, steps)?.carry_out()?;
    Ok(plugin)
}

/// What takes everything away again that was installed in a place.
///
/// # Errors
/// The settings have our entries and cannot be understood or written; the home cannot be written.
pub(crate) fn uninstall(home: &Home, place: &Place) -> Result<Plan, Error> {
    let before = Record::read(home)?;
    let mut steps = Vec::new();
    let placed = before.place(place.folder());
    let found = Found::read(&place.settings())?;
    steps.extend(restore(found, placed.and_then(|placed| placed.settings.as_ref()))?);
    if matches!(linked(place, home), Linked::Here | Linked::Gone) {
        steps.push(Step::Unlink(link(place)));
        steps.extend(place.plugin_data().exists().then(|| Step::Clear(place.plugin_data())));
    }
    let Some(placed) = placed else { return Plan::of(home, steps) };
    steps.extend(placed.made.iter().rev().cloned().map(Step::Clear));

    let mut after = before.clone();
    after.places.retain(|other| other.folder != place.folder());
    if !after.places.is_empty() {
        steps.push(save(home, &after)?);
        return Plan::of(home, steps);
    }
    let plugin = record::plugin(home);
    let mut folders: Vec<PathBuf> = Vec::new();
    for file in &before.files {
        let path = plugin.join(file);
        let inside = path.ancestors().skip(1).take_while(|folder| folder.starts_with(record::folder(home)));
        folders.extend(inside.map(Path::to_owned));
        steps.push(Step::Discard(path));
    }
    steps.extend([record::file(home), record::status_line(home)].map(Step::Discard));
    folders.sort();
    folders.dedup();
    steps.extend(folders.into_iter().rev().map(Step::Clear));
    Plan::of(home, steps)
}

/// The settings as they have to become, with the copy that is laid beside them, and what the record says of it.
fn edit(
    place: &Place,
    caller: &Caller,
    asked: Wishes,
    earlier: Option<&Edited>,
) -> Result<(Vec<Step>, Option<Edited>), Error> {
    let path = place.settings();
    let found = Found::read(&path)?;
    let known = earlier.map(|edited| edited.wishes).unwrap_or_default();
    let there = if found.exists() && (earlier.is_some() || asked != Wishes::default()) {
        settings::wishes_in(&settings::understood(found.bytes(), found.path())?)
    } else {
        Wishes::default()
    };
    let keeps = |asked: bool, known: bool, there: bool| asked || known && there;
    let wishes = Wishes {
        status_line: keeps(asked.status_line, known.status_line, there.status_line),
        allow_tools: keeps(asked.allow_tools, known.allow_tools, there.allow_tools),
    };
    if wishes == Wishes::default() {
        // The user took ours out: there is nothing left to undo.
        return Ok((discard_copy(earlier)?.into_iter().collect(), None));
    }
    let untouched = earlier.filter(|edited| edited.file == found.path() && hash(found.bytes()) == edited.after);
    let base = match untouched {
        Some(edited) => original(edited)?,
        None => None,
    };
    // Without a copy that fits, what is there now, less what is ours, counts as what was there before.
    let (base, mut backup) = match (base, untouched) {
        (Some(bytes), Some(edited)) => (bytes, edited.backup.clone()),
        _ => (settings::without_ours(found.bytes(), earlier.map_or(&[], |edited| &edited.made), found.path())?, None),
    };
    let existed = untouched.map_or(found.exists(), |edited| edited.backup.is_some());
    let after = settings::with_ours(&base, wishes, caller, found.path())?;
    let mut steps = Vec::new();
    if existed && backup.is_none() {
        let copy = Found::read(&free_name(found.path(), earlier))?;
        backup = Some(copy.path().to_owned());
        steps.push(Step::Copy(copy, base.clone()));
    }
    let edited = Edited {
        file: found.path().to_owned(),
        backup,
        before: hash(&base),
        after: hash(&after),
        made: settings::made_for(&settings::understood(&base, found.path())?, wishes),
        wishes,
    };
    if after != found.bytes() {
        steps.push(Step::Content(found, Some(after)));
    }
    Ok((steps, Some(edited)))
}

/// The steps that give the settings back.
fn restore(found: Found, edited: Option<&Edited>) -> Result<Vec<Step>, Error> {
    let edited = edited.filter(|edited| edited.file == found.path());
    let copy = discard_copy(edited)?;
    let untouched = edited.filter(|edited| found.exists() && hash(found.bytes()) == edited.after);
    let before = match untouched {
        Some(edited) => original(edited)?.map(|bytes| edited.backup.is_some().then_some(bytes)),
        None => None,
    };
    let after = match before {
        Some(before) => before,
        None if !found.exists() => None,
        None => match settings::without_ours(found.bytes(), edited.map_or(&[], |edited| &edited.made), found.path()) {
            Ok(bytes) => Some(bytes),
            // Nothing says that anything in it is ours.
            Err(_) if edited.is_none() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        },
    };
    let mut steps = Vec::new();
    let as_it_is = if found.exists() { Some(found.bytes()) } else { None };
    if after.as_deref() != as_it_is {
        steps.push(Step::Content(found, after));
    }
    steps.extend(copy);
    Ok(steps)
}

/// The step that takes the copy away, unless somebody has changed it.
fn discard_copy(edited: Option<&Edited>) -> Result<Option<Step>, Error> {
    let Some(edited) = edited else { return Ok(None) };
    let intact = original(edited)?.is_some();
    Ok(edited.backup.clone().filter(|_| intact).map(Step::Discard))
}

/// What stood in settings before they were changed; `None` when the copy is gone or was changed.
fn original(edited: &Edited) -> Result<Option<Vec<u8>>, Error> {
    let bytes = match &edited.backup {
        None => Vec::new(),
        Some(backup) => Found::read(backup)?.bytes().to_vec(),
    };
    Ok((hash(&bytes) == edited.before).then_some(bytes))
}

/// A name for the copy, beside the file, at which nothing lies yet but an earlier copy of ours.
fn free_name(file: &Path, earlier: Option<&Edited>) -> PathBuf {
    let ours = earlier.and_then(|edited| edited.backup.as_ref());
    let name = |number: u32| {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".before-claudemesh");
        if number > 0 {
            name.push(format!("-{number}"));
        }
        file.with_file_name(name)
    };
    let free = |path: &PathBuf| Some(path) == ours || fs::symlink_metadata(path).is_err();
    (0..1000).map(name).find(free).unwrap_or_else(|| name(1000))
}

fn missing_folders(folder: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> =
        folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// Files of the plugin that are not yet what they have to be, after the folders they need.
fn write_own(plugin: &Path, files: &[(&str, String)]) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    let mut folders: Vec<PathBuf> = Vec::new();
    for (path, text) in files {
        let path = plugin.join(path);
        let folder = path.parent().unwrap_or(plugin);
        for missing in missing_folders(folder) {
            if !folders.contains(&missing) {
                steps.push(Step::Folder(missing.clone()));
                folders.push(missing);
            }
        }
        let found = Found::read(&path)?;
        if found.bytes() != text.as_bytes() {
            steps.push(Step::Own(found, text.clone().into_bytes()));
        }
    }
    Ok(steps)
}

fn save(home: &Home, record: &Record) -> Result<Step, Error> {
    let text = serde_json::to_vec_pretty(record)
        .map_err(|error| Error::new(ErrorKind::Internal, "the record does not become JSON").with_source(error))?;
    Ok(Step::Own(Found::read(&record::file(home))?, text))
}

fn occupied(place: &Place) -> Error {
    let at = link(place);
    let message = match fs::read_link(&at) {
        Ok(target) => format!("{} leads to {} already", at.display(), target.display()),
        Err(_) => format!("{} is there already and is not from this installation", at.display()),
    };
    let hint =
        "if it is another home's claudemesh, run `claudemesh uninstall` with that CLAUDEMESH_HOME; else move it away";
    Error::new(ErrorKind::Conflict, message).with_hint(hint)
}

#[cfg(test)]
mod tests;
