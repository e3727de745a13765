//! Where each name and value of a JSON text stands. The text has been read before: what is scanned here is JSON.

use std::collections::{BTreeSet, HashMap};

use super::{Place, part};

/// Byte offsets by JSON Pointer.
pub(super) struct Positions<'a> {
    text: &'a str,
    /// Of the name, where there is one, and of the value.
    places: HashMap<String, (Option<usize>, usize)>,
    /// Names that an object has twice: pointer and name.
    pub repeated: Vec<(String, String)>,
}

struct Scanner<'a, 'p> {
    text: &'a str,
    at: usize,
    positions: &'p mut Positions<'a>,
}

impl<'a> Positions<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut positions = Self { text, places: HashMap::new(), repeated: Vec::new() };
        let mut scanner = Scanner { text, at: 0, positions: &mut positions };
        scanner.value(&mut String::new(), None);
        positions
    }

    /// Line and column; of a pointer that is not in the text, those of what is around it.
    pub(super) fn find(&self, pointer: &str, place: Place) -> (usize, usize) {
        let mut pointer = pointer;
        let mut place = place;
        let (name, value) = loop {
            if let Some(found) = self.places.get(pointer) {
                break *found;
            }
            place = Place::Value;
            match pointer.rfind('/') {
                Some(cut) => pointer = &pointer[..cut],
                None => break (None, 0),
            }
        };
        let offset = match place {
            Place::Name => name.unwrap_or(value),
            Place::Value => value,
            Place::Inside(index) => self.inside(value, index),
        };
        let before = &self.text[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (line, column)
    }

    /// The offset of a character of the string that begins here.
    fn inside(&self, start: usize, index: usize) -> usize {
        let Some(text) = self.text[start..].strip_prefix('"') else {
            return start;
        };
        let mut chars = text.char_indices().peekable();
        for _ in 0..index {
            match chars.next() {
                Some((_, '\\')) => {
                    if let Some((_, 'u')) = chars.next() {
                        chars.nth(3);
                    }
                }
                Some((_, '"')) | None => break,
                Some(_) => {}
            }
        }
        start + 1 + chars.peek().map_or(text.len(), |(at, _)| *at)
    }
}

impl Scanner<'_, '_> {
    fn blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(&mut self, pointer: &mut String, name: Option<usize>) {
        self.blanks();
        self.positions.places.insert(pointer.clone(), (name, self.at));
        match self.peek() {
            Some(b'{') => self.members(pointer),
            Some(b'[') => self.items(pointer),
            Some(b'"') => drop(self.string()),
            _ => {
                let rest = &self.text[self.at..];
                self.at += rest.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(rest.len());
            }
        }
    }

    fn members(&mut self, pointer: &mut String) {
        self.at += 1;
        let mut seen = BTreeSet::new();
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                self.at += 1;
                return;
            }
            let place = self.at;
            let name = self.string();
            self.blanks();
            self.at += 1;
            let length = pointer.len();
            pointer.push('/');
            pointer.push_str(&part(&name));
            self.value(pointer, Some(place));
            if !seen.insert(name.clone()) {
                self.positions.repeated.push((pointer.clone(), name));
            }
            pointer.truncate(length);
            self.blanks();
            self.at += 1;
            if self.text.as_bytes().get(self.at - 1) != Some(&b',') {
                return;
            }
        }
    }

    fn items(&mut self, pointer: &mut String) {
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return;
        }
        for index in 0.. {
            let length = pointer.len();
            pointer.push_str(&format!("/{index}"));
            self.value(pointer, None);
            pointer.truncate(length);
            self.blanks();
            self.at += 1;
            if self.text.as_bytes().get(self.at - 1) != Some(&b',') {
                return;
            }
        }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        for (offset, c) in self.text[self.at..].char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    self.at += offset + 1;
                    return serde_json::from_str(&self.text[start..self.at]).unwrap_or_default();
                }
                _ => {}
            }
        }
        self.at = self.text.len();
        String::new()
    }
}
