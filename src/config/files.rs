//! What lies in `CONFIG_DIR`: the provider and model files with their texts, and cheap stamps that tell whether any of
//! them has changed. It does not understand them.

use std::fs::{self, Metadata};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::catalog::Finding;

/// A larger file is no configuration.
const LARGEST_FILE: u64 = 8 * 1024 * 1024;

/// Model names may hold `/`, so model files may lie in folders; deeper ones are not looked for (links can form circles).
const DEEPEST_FOLDER: usize = 8;

/// The coarsest clock of a file system, FAT's: two changes within one tick leave the same stamp.
const TICK: Duration = Duration::from_secs(2);

/// What a file is, by where it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `providers/<name>.json`.
    Provider(String),
    /// `models/<name>.json`; `models/a/b.json` is the model `a/b`.
    Model(String),
    /// `models.json`.
    LegacyModels,
}

/// What changes when a file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    modified: Option<SystemTime>,
    /// The last change of anything, where the system tells: a copy that was given another file's time cannot hide from it.
    altered: Option<SystemTime>,
}

impl Stamp {
    /// The stamp of the file that a path leads to (links are followed); `None` if there is none.
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path)
            .ok()
            .map(|metadata| Self::from(&metadata))
    }

    /// Seconds since 1970 of the last change; 0 where the file system does not tell.
    pub fn seconds(&self) -> u64 {
        self.modified
            .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_secs())
    }

    /// Whether every change from `now` on leaves another stamp.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        self.altered
            .or(self.modified)
            .and_then(|last| now.duration_since(last).ok())
            .is_some_and(|age| age >= TICK)
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            inode: inode(metadata),
            size: metadata.len(),
            modified: metadata.modified().ok(),
            altered: altered(metadata),
        }
    }
}

#[cfg(unix)]
fn altered(metadata: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt as _;
    let seconds = u64::try_from(metadata.ctime()).ok()?;
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
}

#[cfg(not(unix))]
fn altered(_: &Metadata) -> Option<SystemTime> {
    None
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

/// The configuration files of a directory in the order of their paths, without their contents: equal ones mean that
/// nothing changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamps {
    found: Vec<(PathBuf, FileKind, Option<Stamp>)>,
    unreadable: Vec<(PathBuf, String)>,
}

/// Looks at names and stamps only: cheap enough for every two seconds.
pub fn stamps(directory: &Path) -> Stamps {
    let Listing { found, unreadable } = Listing::of(directory);
    let stamped = found.into_iter().map(|(path, kind)| {
        let stamp = Stamp::of(&path);
        (path, kind, stamp)
    });
    Stamps {
        found: stamped.collect(),
        unreadable,
    }
}

/// One configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The path as it was found.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Its stamp; `None` if it could not be looked at.
    pub stamp: Option<Stamp>,
    /// The same, if any change after this reading leaves another: while it is so, the file need not be read again.
    pub settled: Option<Stamp>,
    /// Its text, or why it cannot be read.
    pub text: Result<String, String>,
}

/// All configuration files of a directory, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The files, by path.
    pub files: Vec<File>,
    /// Files that were not read, because they are as they were.
    pub unchanged: Vec<PathBuf>,
    /// Directories that could not be looked into, and why: their files are unknown, not gone.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Files {
    /// Reads all configuration files of a directory.
    pub fn read(directory: &Path) -> Self {
        Self::read_again(&stamps(directory), SystemTime::now(), |_| None)
    }

    /// Reads the files that were found, except those that still have the settled stamp which `known` tells. It is asked
    /// in the order of paths. `now` is when they were looked for.
    pub fn read_again(
        stamps: &Stamps,
        now: SystemTime,
        mut known: impl FnMut(&Path) -> Option<Stamp>,
    ) -> Self {
        let mut files = Self {
            unreadable: stamps.unreadable.clone(),
            ..Self::default()
        };
        for (path, kind, stamp) in &stamps.found {
            if stamp.is_some() && known(path) == *stamp {
                files.unchanged.push(path.clone());
            } else {
                files
                    .files
                    .extend(File::read(path.clone(), kind.clone(), now));
            }
        }
        files
    }

    /// The unreadable directories as findings.
    pub(crate) fn findings(&self) -> impl Iterator<Item = Finding> {
        self.unreadable.iter().map(|(path, reason)| Finding {
            source: path.clone(),
            position: None,
            message: format!("cannot be read: {reason}; what was read from it before stays in use"),
        })
    }
}

impl File {
    /// `None` if it has vanished since it was listed.
    fn read(path: PathBuf, kind: FileKind, now: SystemTime) -> Option<Self> {
        let gone = |error: &std::io::Error| {
            error.kind() == ErrorKind::NotFound && fs::symlink_metadata(&path).is_err()
        };
        let (stamp, text) = match fs::File::open(&path).and_then(read_text) {
            Ok((stamp, text)) => (Some(stamp), text),
            Err(error) if gone(&error) => return None,
            Err(error) => (None, Err(format!("cannot be read: {error}"))),
        };
        Some(Self {
            path,
            kind,
            settled: stamp.filter(|stamp| stamp.is_settled(now)),
            stamp,
            text,
        })
    }
}

fn read_text(file: fs::File) -> std::io::Result<(Stamp, Result<String, String>)> {
    let stamp = Stamp::from(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let limit = LARGEST_FILE / (1024 * 1024);
        return Ok((stamp, Err(format!("is larger than {limit} MiB"))));
    }
    let text = std::str::from_utf8(&bytes)
        // Editors on some systems put a byte order mark in front, which JSON does not know.
        .map(|text| text.trim_start_matches('\u{feff}').to_owned())
        .map_err(|_| "is not UTF-8 text".to_owned());
    Ok((stamp, text))
}

/// The paths of configuration files, in their order: comparing names within a folder costs less than comparing paths.
#[derive(Default)]
struct Listing {
    found: Vec<(PathBuf, FileKind)>,
    unreadable: Vec<(PathBuf, String)>,
}

impl Listing {
    fn of(directory: &Path) -> Self {
        let mut listing = Self::default();
        // The directory itself must be there; its parts need not.
        if let Err(error) = fs::read_dir(directory) {
            listing
                .unreadable
                .push((directory.to_owned(), error.to_string()));
            return listing;
        }
        listing.folder(&directory.join("models"), &FileKind::Model, "", 0);
        let legacy = directory.join("models.json");
        if fs::symlink_metadata(&legacy).is_ok() {
            listing.found.push((legacy, FileKind::LegacyModels));
        }
        listing.folder(
            &directory.join("providers"),
            &FileKind::Provider,
            "",
            DEEPEST_FOLDER,
        );
        listing
    }

    /// Lists `*.json` in one folder whose files' names begin with `prefix`, and in the folders below it.
    fn folder(
        &mut self,
        folder: &Path,
        kind: &dyn Fn(String) -> FileKind,
        prefix: &str,
        depth: usize,
    ) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                self.unreadable.push((folder.to_owned(), error.to_string()));
                return;
            }
        };
        let mut entries: Vec<_> = entries
            .flatten()
            .map(|entry| (entry.file_name(), entry))
            .collect();
        entries.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        for (name, entry) in entries {
            let name = name.to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            let path = entry.path();
            let is_folder = match entry.file_type() {
                Ok(kind) if !kind.is_symlink() => kind.is_dir(),
                _ => path.is_dir(),
            };
            if is_folder {
                if depth < DEEPEST_FOLDER {
                    self.folder(&path, kind, &format!("{prefix}{name}/"), depth + 1);
                }
            } else if let Some(stem) = name.strip_suffix(".json") {
                self.found.push((path, kind(format!("{prefix}{stem}"))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    fn kinds(files: &Files) -> Vec<FileKind> {
        files.files.iter().map(|file| file.kind.clone()).collect()
    }

    #[test]
    fn only_json_files_without_a_leading_dot_are_configuration() {
        let directory = directory(&[
            ("providers/a.json", "{}"),
            ("providers/.a.json", "{}"),
            ("providers/a.json~", "{}"),
            ("providers/folder/b.json", "{}"),
            ("models/m.json", "{}"),
            ("models/notes.txt", "{}"),
            ("models/.swap/m.json", "{}"),
            ("gateway.toml", ""),
        ]);
        let files = Files::read(directory.path());
        assert_eq!(
            kinds(&files),
            [
                FileKind::Model("m".to_owned()),
                FileKind::Provider("a".to_owned()),
            ]
        );
        assert_eq!(files.unreadable, []);
    }

    #[test]
    fn a_model_in_folders_has_slashes_in_its_name() {
        let directory = directory(&[("models/a/b/c.json", "{}"), ("models.json", "{}")]);
        assert_eq!(
            kinds(&Files::read(directory.path())),
            [FileKind::Model("a/b/c".to_owned()), FileKind::LegacyModels,]
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_one_into_nothing_is_told() {
        let directory = directory(&[("elsewhere.txt", "text"), ("models/real/x.json", "{}")]);
        let models = directory.path().join("models");
        std::os::unix::fs::symlink("../elsewhere.txt", models.join("link.json")).unwrap();
        std::os::unix::fs::symlink("nowhere", models.join("dead.json")).unwrap();
        std::os::unix::fs::symlink(".", models.join("circle")).unwrap();
        let files = Files::read(directory.path()).files;
        let text = |name: &str| {
            let path = models.join(name);
            files
                .iter()
                .find(|file| file.path == path)
                .unwrap()
                .text
                .clone()
        };
        assert_eq!(text("link.json"), Ok("text".to_owned()));
        assert!(text("dead.json").unwrap_err().starts_with("cannot be read"));
    }

    #[test]
    fn what_is_no_text_or_no_configuration_is_told() {
        let directory = directory(&[("models/m.json", "{}")]);
        fs::write(directory.path().join("models/b.json"), b"\xFF").unwrap();
        let large = fs::File::create(directory.path().join("models/l.json")).unwrap();
        large.set_len(LARGEST_FILE + 1).unwrap();
        let texts: Vec<_> = Files::read(directory.path())
            .files
            .into_iter()
            .map(|file| file.text)
            .collect();
        assert_eq!(
            texts,
            [
                Err("is not UTF-8 text".to_owned()),
                Err("is larger than 8 MiB".to_owned()),
                Ok("{}".to_owned()),
            ]
        );
    }

    #[test]
    fn a_missing_directory_is_unreadable_and_missing_folders_are_empty() {
        let directory = directory(&[]);
        assert_eq!(Files::read(directory.path()), Files::default());
        let files = Files::read(&directory.path().join("gone"));
        assert_eq!(files.unreadable.len(), 1);
        assert_eq!(files.findings().count(), 1);
    }

    #[test]
    fn stamps_change_with_any_change_and_not_without() {
        let directory = directory(&[("models/m.json", "{}"), ("providers/a.json", "{}")]);
        let before = stamps(directory.path());
        assert_eq!(stamps(directory.path()), before);
        fs::write(directory.path().join("models/m.json"), "{} ").unwrap();
        let edited = stamps(directory.path());
        assert_ne!(edited, before);
        fs::write(directory.path().join("models/n.json"), "{}").unwrap();
        let added = stamps(directory.path());
        assert_ne!(added, edited);
        fs::rename(
            directory.path().join("models/n.json"),
            directory.path().join("models/o.json"),
        )
        .unwrap();
        let renamed = stamps(directory.path());
        assert_ne!(renamed, added);
        fs::remove_file(directory.path().join("models/o.json")).unwrap();
        assert_eq!(stamps(directory.path()), edited);
    }

    #[test]
    fn a_stamp_is_settled_when_a_tick_has_passed() {
        let directory = directory(&[("models/m.json", "{}")]);
        let stamp = Stamp::of(&directory.path().join("models/m.json")).unwrap();
        let now = SystemTime::now();
        assert!(!stamp.is_settled(now), "a change in this tick may not show");
        assert!(stamp.is_settled(now + TICK));
        assert!(!stamp.is_settled(now - TICK), "the clock went back");
    }

    #[cfg(unix)]
    #[test]
    fn a_change_that_keeps_size_and_time_leaves_another_stamp() {
        let directory = directory(&[("models/m.json", "{1}")]);
        let path = directory.path().join("models/m.json");
        let before = Stamp::of(&path).unwrap();
        // The next tick of the file system's clock.
        while Stamp::of(&path).unwrap() == before {
            fs::write(&path, "{2}").unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(before.modified.unwrap()).unwrap();
        }
        let after = Stamp::of(&path).unwrap();
        assert_eq!((after.inode, after.size), (before.inode, before.size));
        assert_eq!(after.modified, before.modified);
    }

    #[test]
    fn only_what_is_not_known_or_not_settled_is_read_again() {
        let directory = directory(&[("models/a.json", "{}"), ("models/b.json", "{}")]);
        let path = |name: &str| directory.path().join("models").join(name);
        let later = SystemTime::now() + TICK;
        let first = Files::read_again(&stamps(directory.path()), later, |_| None).files;
        let settled = |path: &Path| first.iter().find(|file| file.path == path)?.settled;
        fs::write(path("b.json"), "{ }").unwrap();
        fs::write(path("c.json"), "{}").unwrap();
        let second = Files::read_again(&stamps(directory.path()), later, settled);
        assert_eq!(second.unchanged, [path("a.json")]);
        let read: Vec<_> = second.files.iter().map(|file| &file.path).collect();
        assert_eq!(read, [&path("b.json"), &path("c.json")]);
        let young = Files::read(directory.path()).files;
        assert!(young.iter().all(|file| file.settled.is_none()));
    }

    #[test]
    fn files_are_found_in_the_order_of_their_paths() {
        let directory = directory(&[
            ("models/a.json", "{}"),
            ("models/a/b.json", "{}"),
            ("models/a-b.json", "{}"),
            ("models/a/a/a.json", "{}"),
            ("models.json", "{}"),
            ("providers/a.json", "{}"),
        ]);
        let files = Files::read(directory.path()).files;
        assert_eq!(files.len(), 6);
        assert!(files.is_sorted_by(|left, right| left.path < right.path));
    }
}
