//! Reads a body, and no more of it than is allowed: large ones share what memory there is for them.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies up to this size are small: nobody counts what they take, so that no number of large ones sheds them.
pub const SMALL: usize = 64 << 10;

/// What a value of a review takes while it is worked on, in bytes: a node of the tree, and another of the copy that is changed. Measured:
/// docs/measured.md.
const VALUE: usize = 192;

/// The memory that large reviews share, from the first bytes of a body to the answer. It is counted in KiB.
#[derive(Clone, Debug)]
pub struct Room {
    left: Arc<Semaphore>,
    most: usize,
}

impl Room {
    /// Of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Room {
        Room { left: Arc::new(Semaphore::new((bytes >> 10).min(Semaphore::MAX_PERMITS))), most: bytes }
    }

    /// Takes as much more as makes it `bytes`.
    fn hold(&self, held: &mut Held, bytes: usize) -> Result<(), BodyError> {
        if bytes <= SMALL {
            return Ok(());
        }
        if bytes > self.most {
            return Err(BodyError::TooWide);
        }
        let more = (bytes >> 10).saturating_sub(held.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let more = u32::try_from(more).map_err(|_| BodyError::Crowded)?;
        let more = Arc::clone(&self.left).try_acquire_many_owned(more).map_err(|_| BodyError::Crowded)?;
        match &mut held.0 {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// A part of a [`Room`]. It is given back with the value.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It has more bytes than are allowed; the rest was not read.
    TooLarge,
    /// It has so many values that it alone would take more memory than there is for all.
    TooWide,
    /// Others take the memory that there is for large ones.
    Crowded,
    /// The peer left, or what it sent is not a body (a chunk without its length).
    Broken,
}

/// Reads a body of `length` bytes, if that was said, and at most `most`; gives with it what it holds of the room.
///
/// # Errors
/// It is too large or broken, or there is no room for it.
pub async fn read(body: Body, length: Option<usize>, most: usize, room: &Room) -> Result<(Bytes, Held), BodyError> {
    let mut held = Held::default();
    let whole = collect(body, length, most, |bytes| room.hold(&mut held, bytes)).await?;
    if whole.len() > SMALL {
        room.hold(&mut held, whole.len() + values(&whole) * VALUE)?;
    }
    Ok((whole, held))
}

/// How many values a JSON text has at most: each stands behind one of these.
fn values(text: &[u8]) -> usize {
    text.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
}

async fn collect(
    mut body: Body,
    length: Option<usize>,
    most: usize,
    mut hold: impl FnMut(usize) -> Result<(), BodyError>,
) -> Result<Bytes, BodyError> {
    let Some(first) = next(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > most {
        return Err(BodyError::TooLarge);
    }
    hold(first.len())?;
    if length == Some(first.len()) {
        return Ok(first);
    }
    let mut all = Vec::with_capacity(length.unwrap_or(first.len() * 2).min(most));
    all.extend_from_slice(&first);
    drop(first);
    while let Some(more) = next(&mut body).await? {
        if all.len() + more.len() > most {
            return Err(BodyError::TooLarge);
        }
        hold(all.len() + more.len())?;
        all.extend_from_slice(&more);
    }
    Ok(all.into())
}

/// The next data; trailers are nothing to us.
async fn next(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_than_allowed() {
        let room = Room::new(0);
        let read = async |text: &'static str, length| read(Body::from(text), length, 4, &room).await.map(|(bytes, _)| bytes);
        assert_eq!(read("", Some(0)).await.unwrap(), "");
        assert_eq!(read("1234", Some(4)).await.unwrap(), "1234");
        assert_eq!(read("1234", None).await.unwrap(), "1234");
        assert_eq!(read("12345", None).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn large_ones_share_the_room_and_give_it_back() {
        let room = Room::new(1 << 20);
        let read = async |text: String| read(Body::from(text), None, 7 << 20, &room).await;
        let large = || "x".repeat(600 << 10);
        let first = read(large()).await.unwrap();
        assert_eq!(read(large()).await.unwrap_err(), BodyError::Crowded);
        let (small, held) = read(",".repeat(SMALL)).await.unwrap();
        assert!(small.len() == SMALL && held.0.is_none(), "small ones are not counted");
        drop(first);
        let again = read(large()).await.unwrap();
        drop(again);
        assert_eq!(read("x".repeat((1 << 20) + 1)).await.unwrap_err(), BodyError::TooWide);
        assert_eq!(read(format!("[{}0]", "0,".repeat(SMALL))).await.unwrap_err(), BodyError::TooWide, "few bytes, many values");
        assert_eq!(room.left.available_permits(), 1 << 10);
    }
}
