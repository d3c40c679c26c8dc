//! Reading JSON text fast, as far as it is what API servers send. Whatever is not (an error, a fraction, nesting without end, a member twice) is
//! left to serde_json: the answer here is `None`, and nothing is decided. So there is one authority on what JSON is, and this reader only has to
//! be right about what it accepts; `tests/reading.rs` compares the two on reviews, on damaged reviews and on random documents.

use std::borrow::Cow;

use super::read::duplicate;
use super::{NodeId, Text, Tree, Value};

/// Deeper than this is left to serde_json, which has the limit.
const DEEP: u32 = 100;

/// Members of an object whose names are compared while it is read; longer ones are sorted at the end.
const FEW: usize = 24;

/// A place in a JSON text.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Scanner<'a> {
    /// At the start of a text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Scanner { text, at: 0, depth: 0 }
    }

    /// The next byte that is no space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    #[inline]
    fn take(&mut self, wanted: u8) -> Option<()> {
        // Nearly always it is there at once.
        let there = self.text.as_bytes().get(self.at) == Some(&wanted) || self.peek()? == wanted;
        self.at += usize::from(there);
        there.then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// Nothing but space is left.
    #[must_use]
    pub fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Steps into an object.
    pub fn begin_object(&mut self) -> Option<()> {
        self.begin(b'{')
    }

    #[inline]
    fn begin(&mut self, open: u8) -> Option<()> {
        self.depth += 1;
        if self.depth > DEEP {
            return None;
        }
        self.take(open)
    }

    /// Steps over a null, if there is one.
    pub fn null(&mut self) -> Option<bool> {
        if self.peek()? != b'n' {
            return Some(false);
        }
        self.word("null").map(|()| true)
    }

    /// A boolean.
    pub fn boolean(&mut self) -> Option<bool> {
        match self.peek()? {
            b't' => self.word("true").map(|()| true),
            b'f' => self.word("false").map(|()| false),
            _ => None,
        }
    }

    /// Goes on to the next member of an object that has `first` or not; false at its end, behind the brace.
    pub fn next_member(&mut self, first: bool) -> Option<bool> {
        self.next(first, b'}')
    }

    #[inline]
    fn next(&mut self, first: bool, end: u8) -> Option<bool> {
        let byte = self.peek()?;
        if byte == end {
            self.at += 1;
            self.depth = self.depth.saturating_sub(1);
            return Some(false);
        }
        if !first {
            if byte != b',' {
                return None;
            }
            self.at += 1;
            // A comma before the end is an error, which the string or value that must follow finds.
        }
        Some(true)
    }

    /// A member's name, with the colon after it.
    pub fn name(&mut self) -> Option<Cow<'a, str>> {
        let name = self.string()?;
        self.take(b':')?;
        Some(name)
    }

    /// Where the next quote, backslash or control character is.
    #[inline]
    fn odd(&self) -> usize {
        const ONES: u64 = 0x0101_0101_0101_0101;
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        while let Some(&chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(chunk);
            // Exchanging bit 1 puts the quote (0x22) right above the control characters, and the two bytes between them elsewhere.
            let (low, backslash) = (word ^ (ONES * 0x02), word ^ (ONES * 0x5c));
            // The lowest byte that is marked is one; above it a borrow may mark others.
            let marked = (low.wrapping_sub(ONES * 0x21) & !low) | (backslash.wrapping_sub(ONES) & !backslash);
            let marked = marked & (ONES * 0x80);
            if marked != 0 {
                return at + marked.trailing_zeros() as usize / 8;
            }
            at += 8;
        }
        while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
            at += 1;
        }
        at
    }

    /// A string without its quotes.
    #[inline]
    pub fn string(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"')?;
        let start = self.at;
        self.at = self.odd();
        let clean = self.text.get(start..self.at)?;
        if self.text.as_bytes().get(self.at) == Some(&b'"') {
            self.at += 1;
            return Some(Cow::Borrowed(clean));
        }
        let mut own = String::with_capacity(clean.len() + 32);
        own.push_str(clean);
        self.escapes(&mut own)?;
        Some(Cow::Owned(own))
    }

    /// As [`Scanner::string`], kept in a tree where it has escapes.
    #[inline]
    fn text(&mut self, tree: &mut Tree<'a>) -> Option<Text<'a>> {
        self.take(b'"')?;
        let start = self.at;
        self.at = self.odd();
        let clean = self.text.get(start..self.at)?;
        if self.text.as_bytes().get(self.at) == Some(&b'"') {
            self.at += 1;
            return Some(Text::Borrowed(clean));
        }
        self.kept(tree, clean)
    }

    /// The rest of a string that has escapes after this.
    #[cold]
    fn kept(&mut self, tree: &mut Tree<'a>, clean: &str) -> Option<Text<'a>> {
        let kept = tree.own.len();
        tree.own.push_str(clean);
        self.escapes(&mut tree.own)?;
        Some(Text::Own(u32::try_from(kept).ok()?, u32::try_from(tree.own.len() - kept).ok()?))
    }

    /// The rest of a string from a backslash on.
    fn escapes(&mut self, out: &mut String) -> Option<()> {
        loop {
            let start = self.at;
            self.at = self.odd();
            out.push_str(self.text.get(start..self.at)?);
            match self.text.as_bytes().get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => out.push(self.escape()?),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = *self.text.as_bytes().get(self.at + 1)?;
        self.at += 2;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let hex = self.text.get(self.at..self.at + 4)?;
                if !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                self.at += 4;
                // Half of a pair is no character.
                char::from_u32(u32::from_str_radix(hex, 16).ok()?)?
            }
            _ => return None,
        })
    }

    /// A whole number that fits an `i64`.
    fn integer(&mut self) -> Option<i64> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let negative = bytes.get(start) == Some(&b'-');
        self.at += usize::from(negative);
        let digits = self.at;
        let mut value = 0_i64;
        while let Some(digit @ b'0'..=b'9') = bytes.get(self.at) {
            value = value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
            self.at += 1;
        }
        let length = self.at - digits;
        let leading = length > 1 && bytes.get(digits) == Some(&b'0');
        let goes_on = matches!(bytes.get(self.at), Some(b'.' | b'e' | b'E'));
        // "-0" is a fraction to serde_json.
        let zero_below = negative && value == 0;
        let fine = length > 0 && !leading && !goes_on && !zero_below;
        fine.then_some(if negative { -value } else { value })
    }

    /// Steps over a value.
    pub fn skip(&mut self) -> Option<()> {
        // What is open, the innermost last: a bit for each, set for an object.
        let (mut open, above) = (0_u128, self.depth);
        loop {
            let mut first = false;
            match self.peek()? {
                b'"' => self.skip_string()?,
                // managedFields is full of them.
                b'{' if self.text.as_bytes().get(self.at + 1) == Some(&b'}') => self.at += 2,
                bracket @ (b'{' | b'[') => {
                    self.begin(bracket)?;
                    open = open << 1 | u128::from(bracket == b'{');
                    first = true;
                }
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => self.integer().map(drop)?,
            }
            loop {
                if self.depth == above {
                    return Some(());
                }
                let is_object = open & 1 == 1;
                if self.next(first, if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.skip_string()?;
                        self.take(b':')?;
                    }
                    break;
                }
                open >>= 1;
                first = false;
            }
        }
    }

    #[inline]
    fn skip_string(&mut self) -> Option<()> {
        self.take(b'"')?;
        self.at = self.odd();
        if self.text.as_bytes().get(self.at) == Some(&b'"') {
            self.at += 1;
            return Some(());
        }
        self.skip_escapes()
    }

    #[cold]
    fn skip_escapes(&mut self) -> Option<()> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                _ => return None,
            };
            self.at = self.odd();
        }
    }

    /// Reads a value into a tree, as [`super::TreeSeed`] does it: as its root, under `key`, without the members that `unread` names.
    pub fn tree(&mut self, tree: &mut Tree<'a>, key: Text<'a>, unread: &[(&str, &str)]) -> Option<()> {
        let value = self.value(tree)?;
        let root = tree.push(None, key, value);
        self.children(tree, root, value, unread)
    }

    /// A scalar, or the empty list or object whose bracket is next.
    #[inline]
    fn value(&mut self, tree: &mut Tree<'a>) -> Option<Value<'a>> {
        Some(match self.peek()? {
            b'"' => Value::String(self.text(tree)?),
            b'{' => Value::Object,
            b'[' => Value::List,
            b't' => self.word("true").map(|()| Value::Bool(true))?,
            b'f' => self.word("false").map(|()| Value::Bool(false))?,
            b'n' => self.word("null").map(|()| Value::Null)?,
            _ => Value::Int(self.integer()?),
        })
    }

    #[inline]
    fn children(&mut self, tree: &mut Tree<'a>, node: NodeId, value: Value<'a>, unread: &[(&str, &str)]) -> Option<()> {
        match value {
            Value::Object => self.members(tree, node, unread),
            Value::List => self.entries(tree, node),
            _ => Some(()),
        }
    }

    fn entries(&mut self, tree: &mut Tree<'a>, list: NodeId) -> Option<()> {
        self.begin(b'[')?;
        let mut last = None;
        while self.next(last.is_none(), b']')? {
            let value = self.value(tree)?;
            let entry = tree.push_after(list, last, Text::Borrowed(""), value);
            self.children(tree, entry, value, &[])?;
            last = Some(entry);
        }
        tree.close(list, last);
        Some(())
    }

    fn members(&mut self, tree: &mut Tree<'a>, object: NodeId, unread: &[(&str, &str)]) -> Option<()> {
        self.begin(b'{')?;
        // Only of the value itself and of its own members something may be left unread.
        let below = if tree.parent(object).is_none() { unread } else { &[] };
        let (mut names, mut count, mut last, mut first) = (0_u64, 0_usize, None, true);
        let mut skipped = 0_u32;
        while self.next(first, b'}')? {
            first = false;
            let name = self.text(tree)?;
            self.take(b':')?;
            let over = unread.iter().position(|(of, member)| *member == tree.text(name) && *of == tree.key(object));
            if let Some(place) = over {
                if skipped & (1 << place) != 0 {
                    return None;
                }
                skipped |= 1 << place;
                self.skip()?;
                continue;
            }
            count += 1;
            let bit = mark(tree.text(name));
            if count <= FEW && names & bit != 0 && tree.get(object, tree.text(name)).is_some() {
                return None;
            }
            names |= bit;
            let value = self.value(tree)?;
            let member = tree.push_after(object, last, name, value);
            self.children(tree, member, value, below)?;
            last = Some(member);
        }
        tree.close(object, last);
        if count > FEW && duplicate(tree, object, count).is_some() {
            return None;
        }
        Some(())
    }
}

/// One of 64 bits for a name: two names that have not the same are different.
fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let (first, last) = (bytes.first().copied().unwrap_or_default(), bytes.last().copied().unwrap_or_default());
    1 << ((bytes.len() + usize::from(first) * 5 + usize::from(last) * 11) & 63)
}
