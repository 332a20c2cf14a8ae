//! Writing JSON text straight into one buffer, so that a long text or picture is copied once. It knows no protocol.

/// An object that is being written. Whoever begins one ends it.
#[derive(Debug)]
#[must_use]
pub(in crate::convert) struct Object {
    empty: bool,
}

impl Object {
    /// Opens it.
    pub(in crate::convert) fn begin(out: &mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { empty: true }
    }

    /// Writes a name; the caller writes the value.
    pub(in crate::convert) fn name(&mut self, out: &mut Vec<u8>, name: &str) {
        if !std::mem::take(&mut self.empty) {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
    }

    /// A member with a value that is JSON already.
    pub(in crate::convert) fn raw(&mut self, out: &mut Vec<u8>, name: &str, value: &str) {
        self.name(out, name);
        raw(out, value);
    }

    /// A member with a string.
    pub(in crate::convert) fn string(&mut self, out: &mut Vec<u8>, name: &str, value: &str) {
        self.name(out, name);
        string(out, value);
    }

    /// Closes it.
    pub(in crate::convert) fn end(self, out: &mut Vec<u8>) {
        out.push(b'}');
    }
}

/// An array that is being written. Whoever begins one ends it.
#[derive(Debug)]
#[must_use]
pub(in crate::convert) struct Array {
    empty: bool,
}

impl Array {
    /// Opens it.
    pub(in crate::convert) fn begin(out: &mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { empty: true }
    }

    /// Makes place for an element; the caller writes it.
    pub(in crate::convert) fn next(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.empty) {
            out.push(b',');
        }
    }

    /// Closes it.
    pub(in crate::convert) fn end(self, out: &mut Vec<u8>) {
        out.push(b']');
    }
}

/// Writes an array, each element by `write`.
pub(in crate::convert) fn array<T>(
    out: &mut Vec<u8>,
    elements: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    let mut array = Array::begin(out);
    for element in elements {
        array.next(out);
        write(out, element);
    }
    array.end(out);
}

/// A value that is JSON already.
pub(in crate::convert) fn raw(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(value.as_bytes());
}

/// A string.
pub(in crate::convert) fn string(out: &mut Vec<u8>, text: &str) {
    // A string written into memory has no way to fail.
    let _: Result<(), serde_json::Error> = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.string(&mut out, "a\"", "b\n");
        object.raw(&mut out, "c", "1.50");
        object.name(&mut out, "d");
        let mut array = Array::begin(&mut out);
        array.next(&mut out);
        Object::begin(&mut out).end(&mut out);
        array.next(&mut out);
        string(&mut out, "é");
        array.end(&mut out);
        object.end(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a\"":"b\n","c":1.50,"d":[{},"é"]}"#
        );
    }
}
