//! The decoder: every kind of line end, every way to cut a stream, and what is copied.

use proptest::prelude::*;

use super::*;

/// Events of a stream that arrives in these chunks, the leftover at its end included.
fn decode(chunks: &[&[u8]]) -> Vec<Event> {
    let mut decoder = Decoder::new(LINE_LIMIT);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = decoder.next().unwrap() {
            events.push(event);
        }
    }
    events.extend(decoder.finish());
    events
}

fn bytewise(stream: &[u8]) -> Vec<Event> {
    decode(&stream.chunks(1).collect::<Vec<_>>())
}

/// Name, data and raw bytes of each event, after a check that splitting at any byte changes nothing.
fn read(stream: &str) -> Vec<(String, String, String)> {
    let stream = stream.as_bytes();
    let events = decode(&[stream]);
    assert_eq!(bytewise(stream), events);
    for cut in 0..=stream.len() {
        let (left, right) = stream.split_at(cut);
        assert_eq!(decode(&[left, right]), events, "cut at {cut}");
    }
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    events
        .iter()
        .map(|event| {
            let name = event.name().unwrap_or_default().to_owned();
            (name, text(&event.data), text(&event.raw))
        })
        .collect()
}

fn data(stream: &str) -> Vec<String> {
    read(stream).into_iter().map(|(_, data, _)| data).collect()
}

fn raws(stream: &str) -> Vec<String> {
    read(stream).into_iter().map(|(_, _, raw)| raw).collect()
}

#[test]
fn lines_end_at_lf_crlf_or_cr() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = "event: a|data: 1||: c||data: 2||".replace('|', end);
        let events = read(&stream);
        let names: Vec<&str> = events.iter().map(|(name, ..)| &**name).collect();
        assert_eq!(names, ["a", "", ""], "{end:?}");
        assert_eq!(data(&stream), ["1", "", "2"], "{end:?}");
        assert_eq!(raws(&stream).concat(), stream, "{end:?}");
    }
}

#[test]
fn mixed_line_ends_keep_every_byte() {
    for stream in [
        "data: 1\r\n\ndata: 2\n\r\ndata: 3\r\n\r\n",
        "data: 1\n\rdata: 2\r\rdata: 3\n\n",
        "data: 1\r\n\rdata: 2\r\n\r\n",
    ] {
        assert_eq!(raws(stream).concat(), stream);
        assert_eq!(data(stream).first().map(String::as_str), Some("1"));
    }
}

#[test]
fn an_event_is_delivered_as_soon_as_its_blank_line_is_sure() {
    for (stream, delivered) in [
        ("data: 1\n\n", true),
        ("data: 1\r\n\r\n", true),
        ("data: 1\r\r", true),
        ("data: 1\n", false),
        ("data: 1\r\n", false),
        // The LF is on its way.
        ("data: 1\r\n\r", false),
    ] {
        let mut decoder = Decoder::new(100);
        decoder.push(Bytes::from(stream));
        assert_eq!(decoder.next().unwrap().is_some(), delivered, "{stream:?}");
    }
}

#[test]
fn other_separators_are_text() {
    let stream = "data: a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\n\n";
    assert_eq!(data(stream), ["a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f"]);
}

#[test]
fn data_fields_follow_the_standard() {
    assert_eq!(data("data:x\n\n"), ["x"]);
    assert_eq!(data("data:  x \n\n"), [" x "]);
    assert_eq!(data("data\n\n"), [""]);
    assert_eq!(data("data: \n\n"), [""]);
    assert_eq!(data("data: a\ndata\ndata:\ndata:b\n\n"), ["a\n\n\nb"]);
    assert_eq!(data("datax: a\n data: b\nDATA: c\n\n"), [""]);
    assert_eq!(data("data: a: b\n\n"), ["a: b"]);
}

#[test]
fn other_fields_are_kept_in_the_bytes_and_mean_nothing() {
    let events = read("id: 7\nretry: 5\nevent: a\nevent: b\ndata: x\nnonsense\n\n");
    assert_eq!(events[0].0, "b");
    assert_eq!(events[0].1, "x");
    assert!(read("event:\ndata: x\n\n")[0].0.is_empty());
}

#[test]
fn comments_are_told_apart_from_events_without_data() {
    let comments: Vec<bool> =
        decode(&[b": OPENROUTER PROCESSING\n\n:\n\nid: 7\n\n:x\ndata: 1\n\n"])
            .iter()
            .map(|event| event.comment_only)
            .collect();
    assert_eq!(comments, [true, true, false, false]);
}

#[test]
fn stray_blank_lines_are_nothing() {
    assert_eq!(
        raws("\n\n\r\n\rdata: 1\n\n\n\n\r\ndata: 2\n\n\n"),
        ["data: 1\n\n", "data: 2\n\n"]
    );
    assert!(raws("\n\r\n\n").is_empty());
}

#[test]
fn a_leading_byte_order_mark_is_skipped() {
    assert_eq!(raws("\u{feff}data: 1\n\n"), ["data: 1\n\n"]);
    assert_eq!(raws("data: 1\n\n\u{feff}data: 2\n\n").len(), 2);
    assert_eq!(data("\u{feff}\u{feff}data: 1\n\n"), [""]);
    // Half a mark is no mark.
    let events = bytewise(b"\xef\xbbdata: 1\n\ndata: 2\n\n");
    assert_eq!(events, decode(&[b"\xef\xbbdata: 1\n\ndata: 2\n\n"]));
    assert_eq!(events[0].raw, &b"\xef\xbbdata: 1\n\n"[..]);
}

#[test]
fn an_unterminated_event_with_data_is_completed_at_the_end() {
    for end in ["", "\n", "\r", "\r\n"] {
        let stream = format!("data: 1\n\nevent: e\ndata: 2{end}");
        let events = read(&stream);
        assert_eq!(events[1].1, "2", "{end:?}");
        let again = decode(&[events[1].2.as_bytes()]);
        assert_eq!(again[0].data, "2");
        assert_eq!(again[0].raw, events[1].2, "{end:?}");
    }
    assert_eq!(raws("data: 1\n\nevent: e"), ["data: 1\n\n"]);
    assert_eq!(raws(": comment"), [""; 0]);
    assert_eq!(raws("data: 1\r\n\r"), ["data: 1\r\n\r"]);
    assert_eq!(raws(""), [""; 0]);
}

#[test]
fn events_that_a_chunk_holds_whole_are_slices_of_it() {
    let chunk = Bytes::from_static(b"data: {\"a\":1}\n\nevent: x\ndata: 2\n\ndata: 3");
    let mut decoder = Decoder::new(LINE_LIMIT);
    decoder.push(chunk.clone());
    let first = decoder.next().unwrap().unwrap();
    let second = decoder.next().unwrap().unwrap();
    assert_eq!(first.raw.as_ptr(), chunk.as_ptr());
    assert_eq!(first.data.as_ptr(), chunk.slice(6..).as_ptr());
    assert_eq!(second.raw.as_ptr(), chunk.slice(15..).as_ptr());
    assert_eq!(decoder.next().unwrap(), None);
    decoder.push(Bytes::from_static(b"4\n\n"));
    assert_eq!(decoder.next().unwrap().unwrap().data, "34");
}

#[test]
fn chunks_may_be_pushed_before_events_are_taken() {
    let mut decoder = Decoder::new(LINE_LIMIT);
    for chunk in ["data: 1\n", "\ndata: 2\n\nda", "ta: 3\n\n"] {
        decoder.push(Bytes::from(chunk));
    }
    let mut seen = Vec::new();
    while let Some(event) = decoder.next().unwrap() {
        seen.push(event.data);
    }
    assert_eq!(seen, ["1", "2", "3"]);
}

#[test]
fn an_event_above_the_limit_is_an_error_however_it_arrives() {
    let long = format!("data: 1\n\ndata: {}\n\n", "x".repeat(20));
    for size in [1, 7, 100] {
        let mut decoder = Decoder::new(27);
        let mut outcome = Ok(0);
        for chunk in long.as_bytes().chunks(size) {
            decoder.push(Bytes::copy_from_slice(chunk));
            while let Ok(count) = outcome {
                match decoder.next() {
                    Ok(Some(_)) => outcome = Ok(count + 1),
                    Ok(None) => break,
                    Err(error) => outcome = Err(error),
                }
            }
        }
        assert_eq!(outcome, Err(TooLong { limit: 27 }), "chunks of {size}");
        assert_eq!(decoder.next(), Err(TooLong { limit: 27 }));
    }
    let mut decoder = Decoder::new(28);
    decoder.push(Bytes::from(long));
    assert!(decoder.next().unwrap().is_some());
    assert!(decoder.next().unwrap().is_some());
}

#[test]
fn a_big_event_in_small_pieces_takes_linear_time() {
    // Quadratic, these are 10¹³ steps and the test never ends.
    let piece = Bytes::from(vec![b'x'; 2]);
    let mut decoder = Decoder::new(LINE_LIMIT);
    decoder.push(Bytes::from("data: "));
    for _ in 0..3_000_000 {
        decoder.push(piece.clone());
        assert_eq!(decoder.next().unwrap(), None);
    }
    decoder.push(Bytes::from("\n\n"));
    assert_eq!(decoder.next().unwrap().unwrap().data.len(), 6_000_000);
}

#[test]
fn what_we_frame_is_what_is_read() {
    for text in ["", "x", "a\nb", "a\r\nb", "a\rb", " a ", "\n", "{\"a\":1}"] {
        let expected = text.replace("\r\n", "\n").replace('\r', "\n");
        let event = &decode(&[&frame(text)])[0];
        assert_eq!(event.data, expected, "{text:?}");
        let event = &decode(&[&frame_named("ping", text)])[0];
        assert_eq!(
            (event.name(), &event.data[..]),
            (Some("ping"), expected.as_bytes())
        );
        assert!(decode(&[&comment(text)])[0].comment_only);
    }
    assert_eq!(frame("1"), "data: 1\n\n");
    assert_eq!(frame_named("a", "1"), "event: a\ndata: 1\n\n");
    assert_eq!(comment("ping"), ": ping\n\n");
}

/// Any line of a stream, sensible or not, with any line end.
fn line() -> impl Strategy<Value = String> {
    let content = prop_oneof![
        3 => Just(String::new()),
        3 => "data: ?[a-z]{0,6}",
        1 => "event: ?[a-z]{0,3}",
        1 => ":[a-z]{0,3}",
        1 => "[a-zé:\u{2028} ]{0,4}",
        1 => Just("data".to_owned()),
    ];
    (content, prop_oneof![Just("\n"), Just("\r\n"), Just("\r")])
        .prop_map(|(content, end)| content + end)
}

proptest! {
    #[test]
    fn any_split_of_any_stream_gives_the_same_events(
        mark in prop_oneof![4 => Just(""), 1 => Just("\u{feff}")],
        lines in prop::collection::vec(line(), 0..14),
        tail in "[a-z:]{0,6}",
        cuts in prop::collection::vec(0_usize..200, 0..8),
    ) {
        let stream = format!("{mark}{}{tail}", lines.concat()).into_bytes();
        let whole = decode(&[&stream]);
        prop_assert_eq!(&bytewise(&stream), &whole);

        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(&decode(&chunks), &whole);
    }

    #[test]
    fn any_bytes_are_cut_alike_however_they_arrive(
        stream in prop::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'd'), any::<u8>()],
            0..40,
        ),
    ) {
        prop_assert_eq!(bytewise(&stream), decode(&[&stream]));
    }

    #[test]
    fn no_byte_of_a_well_formed_stream_is_lost(
        events in prop::collection::vec("(data: [a-z]{1,4}|:[a-z]{0,3}|event: [a-z]{1,3})", 0..6),
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
    ) {
        let stream: String = events.iter().map(|event| format!("{event}{end}{end}")).collect();
        let raws: Vec<u8> = bytewise(stream.as_bytes())
            .iter()
            .flat_map(|event| event.raw.to_vec())
            .collect();
        prop_assert_eq!(raws, stream.into_bytes());
    }
}
