//! Where a part of a text stands, as people count: line and column from 1, columns in characters.
//! Knows no format.

/// Line and column, both from 1.
pub(crate) type Position = (usize, usize);

/// The position of a byte offset; an offset past the end is the end.
pub(crate) fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |start| start.chars().count())
        + 1;
    (line, column)
}

/// The position of `part`, which must be a slice of `text` itself, not a copy.
pub(crate) fn position_of(text: &str, part: &str) -> Position {
    let offset = part
        .as_ptr()
        .addr()
        .saturating_sub(text.as_ptr().addr())
        .min(text.len());
    position(text, offset)
}

/// The position for a line and a column in bytes, both from 1, as parsers report them.
pub(crate) fn position_of_bytes(text: &str, line: usize, column: usize) -> Position {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    position(text, start + column.saturating_sub(1))
}

/// The position of a top-level `key = …` in a TOML text.
pub(crate) fn position_of_toml_key(text: &str, key: &str) -> Option<Position> {
    let line = text.lines().find(|line| {
        line.trim_start()
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    })?;
    Some(position_of(text, line.trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_at_line_feeds() {
        let text = "ä = \"ö\"\r\nsecond";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, text.find('ö').unwrap()), (1, 6));
        assert_eq!(position(text, text.find("second").unwrap()), (2, 1));
        assert_eq!(position(text, text.len() + 10), (2, 7));
    }

    #[test]
    fn a_parsers_byte_column_becomes_a_column_of_characters() {
        assert_eq!(position_of_bytes("a\näöx", 2, 5), (2, 3));
        assert_eq!(position_of_bytes("a\nb", 1, 0), (1, 1));
    }

    #[test]
    fn a_toml_key_is_found_whole_and_not_in_comments() {
        let text = "# port = 1\nportal = 2\n  port= 3\n";
        assert_eq!(position_of_toml_key(text, "port"), Some((3, 3)));
        assert_eq!(position_of_toml_key(text, "host"), None);
    }

    proptest! {
        #[test]
        fn counting_from_a_position_leads_back_to_the_offset(text in "[a-zä\n\r ]{0,60}", at in 0_usize..61) {
            let offset = text
                .char_indices()
                .map(|(offset, _)| offset)
                .nth(at)
                .unwrap_or(text.len());
            let (line, column) = position(&text, offset);
            let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
            let back: usize = text.get(start..).unwrap().chars().take(column - 1).map(char::len_utf8).sum();
            prop_assert_eq!(start + back, offset);
        }

        #[test]
        fn a_slice_is_found_where_it_stands(before in "[a-z\n]{0,20}", part in "[A-Z]{1,5}") {
            let text = format!("{before}{part}");
            prop_assert_eq!(position_of(&text, text.get(before.len()..).unwrap()), position(&text, before.len()));
        }
    }
}
