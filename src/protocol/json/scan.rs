//! Finds the ends of JSON values and checks their syntax on the way; builds nothing. It accepts what serde_json accepts,
//! which words the faults: here there is none but "no".
//!
//! Ours, since every event of every stream and every body is looked at: it allocates nothing, where serde_json keeps the
//! brackets that are open in a buffer made for each value, and a value can be entered without being passed over first.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::quoted::closing_quote;

/// A place in a text.
#[derive(Debug, Clone, Copy)]
pub(in crate::protocol) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// So many lists and commas may still come.
    left: usize,
    /// Levels that were open at once in one value.
    deepest: usize,
}

/// The text of a string between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quoted<'a> {
    pub(super) inside: &'a str,
    /// It is not what it means.
    pub(super) has_escapes: bool,
}

impl<'a> Quoted<'a> {
    /// What it means; `None`: it holds half a surrogate pair.
    #[inline]
    pub(super) fn meaning(self) -> Option<Cow<'a, str>> {
        if !self.has_escapes {
            return Some(Cow::Borrowed(self.inside));
        }
        let meant = serde_json::from_str(&format!("\"{}\"", self.inside));
        meant.ok().map(Cow::Owned)
    }
}

impl<'a> Scanner<'a> {
    pub(in crate::protocol) fn new(text: &'a str) -> Self {
        Self::bounded(text, usize::MAX)
    }

    /// A scanner that stops where there are more lists and commas than this, which is to say members and elements.
    pub(super) fn bounded(text: &'a str, left: usize) -> Self {
        Self {
            text,
            at: 0,
            left,
            deepest: 0,
        }
    }

    /// How deep the deepest of the values passed so far is nested.
    pub(super) fn deepest(&self) -> usize {
        self.deepest
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes blanks and, if it comes next, this byte.
    fn takes(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes blanks and, if it comes next, this byte, which begins a member or an element; `None`: one too many.
    fn counts(&mut self, byte: u8) -> Option<bool> {
        let found = self.takes(byte);
        self.left = self.left.checked_sub(usize::from(found))?;
        Some(found)
    }

    /// Whether nothing but blanks is left.
    pub(in crate::protocol) fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.peek().is_none()
    }

    /// The name of a member, and its colon.
    fn name(&mut self) -> Option<Quoted<'a>> {
        self.skip_blanks();
        let name = self.string()?;
        self.takes(b':').then_some(name)
    }

    /// Passes an object, whose values `take` has to pass.
    pub(in crate::protocol) fn object(
        &mut self,
        mut take: impl FnMut(&mut Self, &str) -> Option<()>,
    ) -> Option<()> {
        self.members(|scanner, name| take(scanner, &name))
    }

    /// The same for who keeps the names.
    pub(super) fn members(
        &mut self,
        mut take: impl FnMut(&mut Self, Cow<'a, str>) -> Option<()>,
    ) -> Option<()> {
        self.counts(b'{')?.then_some(())?;
        if self.takes(b'}') {
            return Some(());
        }
        loop {
            let name = self.name()?.meaning()?;
            take(self, name)?;
            if !self.counts(b',')? {
                return self.takes(b'}').then_some(());
            }
        }
    }

    /// Passes an array, whose elements `take` has to pass.
    pub(in crate::protocol) fn array(
        &mut self,
        mut take: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.counts(b'[')?.then_some(())?;
        if self.takes(b']') {
            return Some(());
        }
        loop {
            take(self)?;
            if !self.counts(b',')? {
                return self.takes(b']').then_some(());
            }
        }
    }

    /// Whether an object comes next.
    pub(in crate::protocol) fn is_at_object(&mut self) -> bool {
        self.skip_blanks();
        self.peek() == Some(b'{')
    }

    /// Whether an array comes next.
    pub(in crate::protocol) fn is_at_array(&mut self) -> bool {
        self.skip_blanks();
        self.peek() == Some(b'[')
    }

    /// The text that another scanner, which came from this one, has passed since.
    pub(in crate::protocol) fn text_up_to(&self, later: &Self) -> &'a str {
        self.text
            .get(self.at..later.at)
            .unwrap_or_default()
            .trim_ascii()
    }

    /// The text of the next value, without the blanks around it.
    pub(in crate::protocol) fn value(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        let start = self.at;
        match self.peek()? {
            b'{' | b'[' => self.list()?,
            first => self.scalar(first)?,
        }
        self.text.get(start..self.at)
    }

    fn scalar(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => self.skip_string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => None,
        }
    }

    fn list(&mut self) -> Option<()> {
        // What closes each list that is open.
        let mut open = SmallVec::<[u8; 64]>::new();
        loop {
            if self.counts(b'{')? {
                self.deepest = self.deepest.max(open.len() + 1);
                if !self.takes(b'}') {
                    open.push(b'}');
                    self.skip_name()?;
                    continue;
                }
            } else if self.counts(b'[')? {
                self.deepest = self.deepest.max(open.len() + 1);
                if !self.takes(b']') {
                    open.push(b']');
                    continue;
                }
            } else {
                self.scalar(self.peek()?)?;
            }
            while let Some(close) = open.last() {
                if self.takes(*close) {
                    open.pop();
                    continue;
                }
                if !self.counts(b',')? {
                    return None;
                }
                if *close == b'}' {
                    self.skip_name()?;
                }
                break;
            }
            if open.is_empty() {
                return Some(());
            }
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is_there = self.text.get(self.at..)?.starts_with(word);
        self.at += word.len();
        is_there.then_some(())
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        // A zero that leads leaves digits behind.
        (!matches!(self.peek(), Some(b'0'..=b'9'))).then_some(())
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// The string that begins here.
    pub(super) fn string(&mut self) -> Option<Quoted<'a>> {
        let start = self.at + 1;
        let has_escapes = self.skip_string()?;
        Some(Quoted {
            inside: self.text.get(start..self.at - 1)?,
            has_escapes,
        })
    }

    /// Passes the string that begins here; whether it has escapes.
    fn skip_string(&mut self) -> Option<bool> {
        let bytes = self.text.as_bytes();
        if *bytes.get(self.at)? != b'"' {
            return None;
        }
        let (end, has_escapes) = closing_quote(bytes, self.at + 1)?;
        self.at = end + 1;
        Some(has_escapes)
    }

    /// Passes the name of a member, and its colon.
    fn skip_name(&mut self) -> Option<()> {
        self.skip_blanks();
        self.skip_string()?;
        self.takes(b':').then_some(())
    }
}

#[cfg(test)]
mod tests;
