//! A tree from what is read: every object, list and scalar where it stands, names by their marks.

use super::Scanner;
use crate::tree::read::duplicate;
use crate::tree::{NONE, NodeId, Text, Tree, Value, mark};

/// Members of an object whose names are compared while it is read; longer ones are sorted at the end.
const FEW: usize = 24;

impl<'a> Scanner<'a> {
    /// Reads a value into a tree, as [`crate::tree::TreeSeed`] does it: as its root, under `key`, without the members that `unread` names, of the
    /// value itself and of its own members.
    pub fn tree(&mut self, tree: &mut Tree<'a>, key: Text<'a>, unread: &[(&str, &str)]) -> Option<()> {
        let byte = self.peek();
        let value = self.value(byte, tree)?;
        let root = tree.push(None, key, value);
        match byte {
            b'{' => self.members(tree, root, unread, unread),
            b'[' => self.entries(tree, root),
            _ => Some(()),
        }
    }

    /// The scalar that begins with this byte, or the empty list or object whose bracket it is.
    #[inline]
    fn value(&mut self, byte: u8, tree: &mut Tree<'a>) -> Option<Value<'a>> {
        Some(match byte {
            b'"' => {
                self.at += 1;
                Value::String(self.text(tree)?)
            }
            b'{' => Value::Object,
            b'[' => Value::List,
            b't' => self.word("true").map(|()| Value::Bool(true))?,
            b'f' => self.word("false").map(|()| Value::Bool(false))?,
            b'n' => self.word("null").map(|()| Value::Null)?,
            _ => Value::Int(self.integer()?),
        })
    }

    /// The entries of the list whose bracket is next.
    fn entries(&mut self, tree: &mut Tree<'a>, list: NodeId) -> Option<()> {
        self.deeper()?;
        self.at += 1;
        if self.peek() == b']' {
            self.close();
            return Some(());
        }
        let mut last = NONE;
        loop {
            let byte = self.peek();
            let value = self.value(byte, tree)?;
            let entry = tree.push_after(list, last, Text::Borrowed(""), 0, value);
            match byte {
                b'{' => self.members(tree, entry, &[], &[])?,
                b'[' => self.entries(tree, entry)?,
                _ => {}
            }
            last = entry.0;
            match self.peek() {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.close();
        tree.close(list, last);
        Some(())
    }

    /// The members of the object whose brace is next; `below`: what is left unread of them.
    fn members(&mut self, tree: &mut Tree<'a>, object: NodeId, unread: &[(&str, &str)], below: &[(&str, &str)]) -> Option<()> {
        self.deeper()?;
        self.at += 1;
        if self.peek() == b'}' {
            self.close();
            return Some(());
        }
        let (mut names, mut count, mut last, mut skipped) = (0_u64, 0_usize, NONE, 0_u32);
        loop {
            self.take(b'"')?;
            let name = self.text(tree)?;
            self.take(b':')?;
            let over = unread.iter().position(|(of, member)| *member == tree.text(name) && *of == tree.key(object));
            if let Some(place) = over {
                if skipped & (1 << place) != 0 {
                    return None;
                }
                skipped |= 1 << place;
                self.skip()?;
            } else {
                count += 1;
                let mark = mark(tree.text(name));
                // One of 64 bits for a name: of two that have not the same the names are different.
                let bit = 1 << (mark.wrapping_mul(0x9e37_79b1) >> 26);
                if count <= FEW && names & bit != 0 && tree.find(object, mark, tree.text(name)).is_some() {
                    return None;
                }
                names |= bit;
                let byte = self.peek();
                let value = self.value(byte, tree)?;
                let member = tree.push_after(object, last, name, mark, value);
                match byte {
                    b'{' => self.members(tree, member, below, &[])?,
                    b'[' => self.entries(tree, member)?,
                    _ => {}
                }
                last = member.0;
            }
            match self.peek() {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.close();
        tree.close(object, last);
        if count > FEW && duplicate(tree, object, count).is_some() {
            return None;
        }
        Some(())
    }

    /// As [`Scanner::string`] from behind the first quote, kept in a tree where it has escapes.
    #[inline]
    fn text(&mut self, tree: &mut Tree<'a>) -> Option<Text<'a>> {
        let (start, end) = self.plain();
        if self.closes(end) {
            return self.text.get(start..end).map(Text::Borrowed);
        }
        self.kept(tree, start)
    }

    /// A string that has escapes.
    #[cold]
    fn kept(&mut self, tree: &mut Tree<'a>, start: usize) -> Option<Text<'a>> {
        let kept = tree.own.len();
        tree.own.push_str(self.text.get(start..self.at)?);
        self.escapes(&mut tree.own)?;
        Some(Text::Own(u32::try_from(kept).ok()?, u32::try_from(tree.own.len() - kept).ok()?))
    }
}
