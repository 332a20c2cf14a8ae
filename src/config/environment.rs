//! The variables that count: the process environment over a `.env` file. Everybody who wants a variable asks here,
//! so that a test can pass its own and a reload sees a changed file.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::catalog::Finding;
use super::files::Stamp;

/// Variables by their exact name. An empty value is no value. `Debug` shows names alone: some of the values are keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// What the process was started with; it does not change.
    process: BTreeMap<String, String>,
    /// The rest, as it was read last.
    dotenv: BTreeMap<String, String>,
    /// Where that was read, to be read again.
    dotenv_path: Option<PathBuf>,
    /// What that looked like before it was read.
    seen: Option<Stamp>,
    /// The same, if any change after the reading leaves another.
    settled: Option<Stamp>,
    findings: Vec<Finding>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_set()
            .entries(self.variables.keys())
            .finish()
    }
}

impl Environment {
    /// Process variables over those of a `.env` file. One that is empty in the process hides the file's: it was emptied
    /// on purpose.
    pub fn new(process: BTreeMap<String, String>, dotenv: BTreeMap<String, String>) -> Self {
        let mut variables = dotenv.clone();
        variables.extend(process.clone());
        variables.retain(|_, value| !value.is_empty());
        Self {
            variables,
            process,
            dotenv,
            ..Self::default()
        }
    }

    /// The environment of this process over the `.env` file at a path. A missing file is fine; what is wrong with it is
    /// told line by line in [`Self::findings`], and its other lines count.
    pub fn read(dotenv_path: &Path) -> Self {
        let process = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::over(process, dotenv_path)
    }

    /// These process variables over the `.env` file at a path.
    pub fn over(process: BTreeMap<String, String>, dotenv_path: &Path) -> Self {
        Self {
            dotenv_path: Some(dotenv_path.to_owned()),
            ..Self::new(process, BTreeMap::new())
        }
        .reread()
    }

    /// The same process variables over the `.env` file as it now is; as it was, if it cannot be read.
    #[must_use]
    pub fn reread(&self) -> Self {
        let Some(path) = &self.dotenv_path else {
            return self.clone();
        };
        let now = SystemTime::now();
        let seen = Stamp::of(path);
        if seen.is_some() && seen == self.settled {
            return self.clone();
        }
        let mut settled = seen.filter(|seen| seen.is_settled(now));
        let (dotenv, findings) = match std::fs::read(path) {
            Ok(bytes) => parse_dotenv(path, &bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Default::default(),
            Err(error) => {
                settled = None;
                (self.dotenv.clone(), vec![unreadable(path, &error)])
            }
        };
        Self {
            dotenv_path: self.dotenv_path.clone(),
            seen,
            settled,
            findings,
            ..Self::new(self.process.clone(), dotenv)
        }
    }

    /// The `.env` file, if there is one to look at.
    pub fn dotenv_path(&self) -> Option<&Path> {
        self.dotenv_path.as_deref()
    }

    /// What it looked like before it was read last; `None` if it was not there.
    pub fn dotenv_seen(&self) -> Option<Stamp> {
        self.seen
    }

    /// What is wrong with the `.env` file.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The value of a variable, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Name and value of a variable, if it is set and not empty.
    pub(crate) fn entry(&self, name: &str) -> Option<(&str, &str)> {
        self.variables
            .get_key_value(name)
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All variables that are set and not empty, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<Name: Into<String>, Value: Into<String>> FromIterator<(Name, Value)> for Environment {
    fn from_iter<Pairs: IntoIterator<Item = (Name, Value)>>(pairs: Pairs) -> Self {
        let variables = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self::new(variables, BTreeMap::new())
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Finding {
    Finding {
        source: path.to_owned(),
        position: None,
        message: format!("cannot be read: {error}"),
    }
}

/// The variables of a `.env` text; of a name given twice the last counts, as in a shell.
fn parse_dotenv(path: &Path, bytes: &[u8]) -> (BTreeMap<String, String>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut finding = |line, message: &str| {
        findings.push(Finding {
            source: PathBuf::from(path),
            position: Some((line, 1)),
            message: message.to_owned(),
        });
    };
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut lines: Vec<String> = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let text = std::str::from_utf8(line).unwrap_or_else(|_| {
            finding(lines.len() + 1, "is not UTF-8; this line is ignored");
            ""
        });
        lines.push(format!("{text}\n"));
    }
    // A bad line ends the parser's work, and an open quote swallows all that follows: take that line out, begin again.
    loop {
        match parse_lines(&lines) {
            Ok(variables) => return (variables, findings),
            Err(line) => {
                finding(
                    line,
                    "must be NAME=value; put a value with spaces, `#`, `$` or quotes into single quotes; this line is ignored",
                );
                match lines.get_mut(line.saturating_sub(1)) {
                    Some(bad) if bad != "\n" => "\n".clone_into(bad),
                    // Cannot happen; without it a wrong count would loop for ever.
                    _ => return (BTreeMap::new(), findings),
                }
            }
        }
    }
}

/// All variables, or the number of the first line that is none. The parser's own error shows the line, which may hold a
/// key, and not its number: hence the counting reader.
fn parse_lines(lines: &[String]) -> Result<BTreeMap<String, String>, usize> {
    let read = Cell::new(0);
    let reader = LineReader {
        lines: lines.iter(),
        rest: &[],
        read: &read,
    };
    let mut variables = BTreeMap::new();
    for item in dotenvy::from_read_iter(reader) {
        match item {
            Ok((name, value)) => {
                variables.insert(name, value);
            }
            Err(dotenvy::Error::LineParse(text, _)) => {
                let further_lines = text.trim_end().matches('\n').count();
                return Err(first_line(lines, read.get(), further_lines));
            }
            Err(_) => return Err(read.get()),
        }
    }
    Ok(variables)
}

/// The line where a faulty entry began: it ends at `last` and spans `further_lines` more, not counting empty ones that
/// were trimmed off its end.
fn first_line(lines: &[String], last: usize, further_lines: usize) -> usize {
    let trimmed = lines
        .iter()
        .take(last)
        .rev()
        .take_while(|line| line.trim().is_empty())
        .count();
    last.saturating_sub(trimmed + further_lines).max(1)
}

/// Hands out one line at a time, so that the count tells how far the parser has read.
struct LineReader<'lines> {
    lines: std::slice::Iter<'lines, String>,
    rest: &'lines [u8],
    read: &'lines Cell<usize>,
}

impl Read for LineReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty()
            && let Some(line) = self.lines.next()
        {
            self.rest = line.as_bytes();
            self.read.set(self.read.get() + 1);
        }
        self.rest.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let (variables, findings) = parse_dotenv(Path::new(".env"), text.as_bytes());
        (
            variables,
            findings.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn the_process_wins_over_the_file_and_empty_is_unset() {
        let process = [("A", "process"), ("B", "")];
        let dotenv = [("A", "file"), ("B", "file"), ("C", "file"), ("D", "")];
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| (String::from(*name), String::from(*value)))
                .collect()
        };
        let environment = Environment::new(map(&process), map(&dotenv));
        assert_eq!(environment.get("A"), Some("process"));
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.get("C"), Some("file"));
        assert_eq!(environment.get("a"), None);
        assert_eq!(environment.iter().count(), 2);
    }

    #[test]
    fn a_file_is_read_with_comments_quotes_and_the_last_of_two() {
        let (variables, findings) =
            parse("\u{feff}# keys\nA=1\nexport B='two words' # why\r\nA=3\n\nC=\"x\ny\"\nD=\n");
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(variables["A"], "3");
        assert_eq!(variables["B"], "two words");
        assert_eq!(variables["C"], "x\ny");
        assert_eq!(variables["D"], "");
    }

    #[test]
    fn a_bad_line_is_named_without_its_text_and_the_others_count() {
        let (variables, findings) = parse("A=1\n\nsecret words\nB=2\nC=a b\nD=4");
        assert_eq!(findings.len(), 2);
        assert!(findings[0].starts_with(".env:3:1: must be NAME=value"));
        assert!(findings[1].starts_with(".env:5:1: "));
        assert!(!findings.join(" ").contains("secret words"));
        assert_eq!(variables.keys().collect::<Vec<_>>(), ["A", "B", "D"]);
    }

    #[test]
    fn an_open_quote_costs_its_own_line_only() {
        let (variables, findings) = parse("A=1\nB='open\nC=3\n\n");
        assert_eq!(findings.len(), 1);
        assert!(findings[0].starts_with(".env:2:1: "));
        assert_eq!(variables.keys().collect::<Vec<_>>(), ["A", "C"]);
    }

    #[test]
    fn a_line_that_is_not_utf8_is_named() {
        let (variables, findings) = parse_dotenv(Path::new(".env"), b"A=1\nB=\xFF\nC=3\n");
        assert_eq!(findings[0].position, Some((2, 1)));
        assert_eq!(variables.len(), 2);
    }

    #[test]
    fn a_missing_file_is_fine_and_a_directory_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let missing = Environment::read(&directory.path().join(".env"));
        assert_eq!(missing.findings(), []);
        let unreadable = Environment::read(directory.path());
        assert_eq!(unreadable.findings().len(), 1);
    }

    #[test]
    fn a_file_that_becomes_unreadable_keeps_what_it_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".env");
        std::fs::write(&path, "A=1\n").unwrap();
        let environment = Environment::over(BTreeMap::new(), &path);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let reread = environment.reread();
        assert_eq!(reread.get("A"), Some("1"));
        assert_eq!(reread.findings().len(), 1);
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(reread.reread().get("A"), None);
    }

    #[test]
    fn a_file_that_has_changed_since_it_was_read_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".env");
        std::fs::write(&path, "A=1\n").unwrap();
        let mut environment = Environment::over(BTreeMap::new(), &path);
        assert_eq!(environment.settled, None, "it is too young");
        environment.settled = environment.seen;
        environment.dotenv.clear();
        let kept = environment.reread();
        assert_eq!(kept.dotenv.len(), 0, "nothing was read");
        assert_eq!(kept.get("A"), Some("1"));
        std::fs::write(&path, "A=1\nB=2\n").unwrap();
        let reread = kept.reread();
        assert_eq!(reread.get("B"), Some("2"));
        assert_eq!(reread.dotenv_seen(), Stamp::of(&path));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reading_fail_or_hang(text in "[A-C=' \"\n\\\\$#{}x]{0,60}") {
            let (_, findings) = parse_dotenv(Path::new(".env"), text.as_bytes());
            prop_assert!(findings.len() <= text.lines().count() + 1);
        }

        #[test]
        fn plain_lines_around_a_bad_one_all_count(before in 0_usize..5, after in 0_usize..5) {
            let line = |index: usize| format!("V{index}=value\n");
            let mut text: String = (0..before).map(line).collect();
            text.push_str("'bad\n");
            text.extend((10..10 + after).map(line));
            let (variables, findings) = parse_dotenv(Path::new(".env"), text.as_bytes());
            prop_assert_eq!(variables.len(), before + after);
            prop_assert_eq!(findings.len(), 1);
            prop_assert_eq!(findings[0].position, Some((before + 1, 1)));
        }
    }
}
