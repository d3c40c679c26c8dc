//! Reading JSON text fast, as far as it is what API servers send. Whatever is not (an error, a fraction, nesting without end, a member twice) is
//! left to serde_json: the answer here is `None`, and nothing is decided. So there is one authority on what JSON is, and this reader only has to
//! be right about what it accepts; `tests/reading.rs` compares the two on reviews, on damaged reviews and on random documents.

mod build;

use std::borrow::Cow;

/// Deeper than this is left to serde_json, which has the limit.
const DEEP: u32 = 100;

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

    /// The byte at a place; past the end 0, with which nothing begins.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or_default()
    }

    /// The next byte that is no space.
    #[inline]
    fn peek(&mut self) -> u8 {
        let byte = self.byte(self.at);
        if byte > b' ' { byte } else { self.past_space() }
    }

    /// API servers send none.
    #[cold]
    fn past_space(&mut self) -> u8 {
        while let b' ' | b'\n' | b'\t' | b'\r' = self.byte(self.at) {
            self.at += 1;
        }
        self.byte(self.at)
    }

    #[inline]
    fn take(&mut self, wanted: u8) -> Option<()> {
        if self.peek() != wanted {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// Nothing but space is left.
    #[must_use]
    pub fn is_at_end(&mut self) -> bool {
        self.peek() == 0 && self.at == self.text.len()
    }

    /// Steps into an object.
    pub fn begin_object(&mut self) -> Option<()> {
        self.deeper()?;
        self.take(b'{')
    }

    #[inline]
    fn deeper(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= DEEP).then_some(())
    }

    /// Steps over a bracket that closes.
    #[inline]
    fn close(&mut self) {
        self.at += 1;
        self.depth = self.depth.saturating_sub(1);
    }

    /// Steps over a null, if there is one.
    pub fn null(&mut self) -> Option<bool> {
        if self.peek() != b'n' {
            return Some(false);
        }
        self.word("null").map(|()| true)
    }

    /// A boolean.
    pub fn boolean(&mut self) -> Option<bool> {
        match self.peek() {
            b't' => self.word("true").map(|()| true),
            b'f' => self.word("false").map(|()| false),
            _ => None,
        }
    }

    /// Goes on to the next member of an object that has `first` or not; false at its end, behind the brace.
    pub fn next_member(&mut self, first: bool) -> Option<bool> {
        match self.peek() {
            b'}' => {
                self.close();
                Some(false)
            }
            _ if first => Some(true),
            // A comma before the end is an error, which the name that must follow finds.
            b',' => {
                self.at += 1;
                Some(true)
            }
            _ => None,
        }
    }

    /// A member's name, with the colon after it.
    pub fn name(&mut self) -> Option<Cow<'a, str>> {
        let name = self.string()?;
        self.take(b':')?;
        Some(name)
    }

    /// A string without its quotes.
    pub fn string(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"')?;
        let (start, end) = self.plain();
        let clean = self.text.get(start..end)?;
        if self.closes(end) {
            return Some(Cow::Borrowed(clean));
        }
        let mut own = String::with_capacity(clean.len() + 32);
        own.push_str(clean);
        self.escapes(&mut own)?;
        Some(Cow::Owned(own))
    }

    /// Behind a quote: where the string begins, and where its next quote, backslash or control character is, at which the place is then.
    #[inline]
    fn plain(&mut self) -> (usize, usize) {
        let start = self.at;
        self.at = odd(self.text.as_bytes(), start);
        (start, self.at)
    }

    /// Steps over the quote that ends a string, if it is there.
    #[inline]
    fn closes(&mut self, end: usize) -> bool {
        let closes = self.byte(end) == b'"';
        self.at += usize::from(closes);
        closes
    }

    /// The rest of a string from a backslash on.
    fn escapes(&mut self, out: &mut String) -> Option<()> {
        loop {
            match self.byte(self.at) {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => out.push(self.escape()?),
                _ => return None,
            }
            let (start, end) = self.plain();
            out.push_str(self.text.get(start..end)?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = self.byte(self.at + 1);
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
        let start = self.at;
        let negative = self.byte(start) == b'-';
        self.at += usize::from(negative);
        let digits = self.at;
        let mut value = 0_i64;
        while let digit @ b'0'..=b'9' = self.byte(self.at) {
            value = value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
            self.at += 1;
        }
        let length = self.at - digits;
        let leading = length > 1 && self.byte(digits) == b'0';
        let goes_on = matches!(self.byte(self.at), b'.' | b'e' | b'E');
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
            match self.peek() {
                b'"' => self.skip_string()?,
                // managedFields is full of them.
                b'{' if self.byte(self.at + 1) == b'}' => self.at += 2,
                bracket @ (b'{' | b'[') => {
                    self.deeper()?;
                    self.at += 1;
                    open = open << 1 | u128::from(bracket == b'{');
                    first = true;
                }
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => self.integer().map(drop)?,
            }
            // On to the next value: over what closes, a comma, a name.
            while self.depth > above {
                let is_object = open & 1 == 1;
                let byte = self.peek();
                if byte == if is_object { b'}' } else { b']' } {
                    self.close();
                    open >>= 1;
                    first = false;
                    continue;
                }
                if !first {
                    if byte != b',' {
                        return None;
                    }
                    self.at += 1;
                }
                if is_object {
                    if self.peek() != b'"' {
                        return None;
                    }
                    self.skip_string()?;
                    self.take(b':')?;
                }
                break;
            }
            if self.depth == above {
                return Some(());
            }
        }
    }

    /// Steps over the string whose quote is next.
    #[inline]
    fn skip_string(&mut self) -> Option<()> {
        self.at += 1;
        let (_, end) = self.plain();
        if self.closes(end) { Some(()) } else { self.skip_escapes() }
    }

    #[cold]
    fn skip_escapes(&mut self) -> Option<()> {
        loop {
            match self.byte(self.at) {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                _ => return None,
            };
            self.plain();
        }
    }
}

/// Where the next quote, backslash or control character is.
#[inline]
fn odd(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
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
