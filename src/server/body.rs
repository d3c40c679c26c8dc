//! Reads a body, and no more of it than is allowed.

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It has more bytes than are allowed; the rest was not read.
    TooLarge,
    /// The peer left, or what it sent is not a body (a chunk without its length).
    Broken,
}

/// Reads a body of `length` bytes, if that was said, and at most `most`.
///
/// # Errors
/// It is too large or broken.
pub async fn read(mut body: Body, length: Option<usize>, most: usize) -> Result<Bytes, BodyError> {
    let Some(first) = next(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > most {
        return Err(BodyError::TooLarge);
    }
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
        let read = |text: &'static str, length| read(Body::from(text), length, 4);
        assert_eq!(read("", Some(0)).await.unwrap(), "");
        assert_eq!(read("1234", Some(4)).await.unwrap(), "1234");
        assert_eq!(read("1234", None).await.unwrap(), "1234");
        assert_eq!(read("12345", None).await, Err(BodyError::TooLarge));
    }
}
