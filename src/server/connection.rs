//! One connection from its first byte to its last: the deadlines between and before requests, and closing without losing an answer.
//!
//! hyper's own header deadline also runs while a connection is idle, and kube-apiserver's client keeps idle connections for 90 s. So the time is
//! kept here: the `Clock` knows in which phase a connection is and since when, the stream sets it when bytes come, the [`Door`] when a request
//! begins and ends, and [`serve_http1`] looks at it when its timer rings.

mod clock;
mod door;
mod stream;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use super::config::Limits;
use super::shutdown::Stage;
use clock::{Due, Phase};
pub use door::Door;
use stream::Watched;

/// Largest header of a request, and the size that hyper's read buffer may grow to.
const BUFFER: usize = 64 << 10;

/// How long to go on reading, and throwing away, what a peer still sends after the last answer: closing earlier would make the kernel
/// reset the connection, and the peer lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// A connection that was accepted just before draining gets this long to bring its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Time to say goodbye in.
const GOODBYE: Duration = Duration::from_secs(1);

const HEADER_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 71\r\n\r\n\
    {\"error\":\"the request's header did not come in time\",\"at\":\"the header\"}";

enum End {
    /// hyper has nothing more to do.
    Finished,
    /// A deadline passed.
    Past(Due),
    /// It was told to leave, and no request ever came.
    Left,
}

/// Serves HTTP/1.1 until either side closes.
pub async fn serve_http1<S>(stream: S, door: Door, limits: &Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let clock = door.clock();
    let mut departure = door.departure();
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&clock)));
    let mut connection = http1::Builder::new().header_read_timeout(None).max_buf_size(BUFFER).serve_connection(io, door);
    let mut timer = pin!(sleep_until(clock.next_look(limits)));
    let (mut draining, mut idle) = (false, false);
    let end = loop {
        tokio::select! {
            biased;
            _ = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => break End::Finished,
            () = departure.reached(Stage::Draining), if !draining => {
                draining = true;
                match clock.phase() {
                    // Half a header is there: its answer will close the connection.
                    Phase::Header => {}
                    Phase::Idle if clock.requests() == 0 => timer.as_mut().reset(Instant::now() + FIRST_REQUEST),
                    // An answer may still be on its way out, so hyper closes, not we.
                    phase => {
                        idle = phase == Phase::Idle;
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                }
            }
            () = timer.as_mut() => {
                if draining && clock.requests() == 0 && clock.phase() == Phase::Idle {
                    break End::Left;
                }
                match clock.due(limits) {
                    Due::Later(at) => timer.as_mut().reset(at),
                    past => break End::Past(past),
                }
            }
        }
    };
    let mut stream = connection.into_parts().io.into_inner();
    // The peer may be gone, or not read: then it does not learn how this ended.
    let _ = timeout(GOODBYE, async {
        if matches!(end, End::Past(Due::Header)) {
            stream.write_all(HEADER_TIMEOUT).await?;
        }
        stream.shutdown().await
    })
    .await;
    if !stream.at_end() && !idle && !matches!(end, End::Left | End::Past(Due::Idle)) {
        let _ = timeout(LINGER, discard(&mut stream, limits.body_bytes)).await;
    }
}

/// Serves HTTP/2 until either side closes. Its header frames have no deadline of their own: an unfinished one is an idle connection.
pub async fn serve_http2<S>(stream: S, door: Door, limits: &Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let clock = door.clock();
    let mut departure = door.departure();
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&clock)));
    let streams = u32::try_from(limits.reviews).unwrap_or(u32::MAX).min(250);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_concurrent_streams(streams).max_header_list_size(16 << 10);
    let mut connection = builder.serve_connection(io, door);
    let mut timer = pin!(sleep_until(clock.next_look(limits)));
    // GOAWAY loses no request, so it need not wait for draining; but a connection may be used once.
    let (mut until, mut closing) = (Stage::Leaving, false);
    loop {
        tokio::select! {
            biased;
            _ = &mut connection => return,
            () = departure.reached(until), if !closing => {
                if until == Stage::Leaving && clock.requests() == 0 {
                    until = Stage::Draining;
                } else {
                    closing = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
            () = timer.as_mut() => match clock.due(limits) {
                Due::Later(at) => timer.as_mut().reset(at),
                _ if closing => return,
                _ => {
                    closing = true;
                    Pin::new(&mut connection).graceful_shutdown();
                    timer.as_mut().reset(Instant::now() + GOODBYE);
                }
            },
        }
    }
}

async fn discard<S: AsyncRead + Unpin>(stream: &mut S, most: usize) {
    let mut left = most;
    let mut buffer = [0_u8; 4096];
    while left > 0 {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Counter;
    use super::super::ready::Ready;
    use super::super::shutdown::Shutdown;
    use super::*;

    #[test]
    fn the_answer_to_a_late_header_is_as_long_as_it_says() {
        let text = std::str::from_utf8(HEADER_TIMEOUT).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }

    #[tokio::test]
    async fn an_answer_that_is_on_its_way_out_is_not_cut_by_draining() {
        let hour = Duration::from_secs(3600);
        let limits = Limits {
            connections: 1,
            handshake: hour,
            header: hour,
            body: hour,
            idle: hour,
            body_bytes: 1 << 20,
            reviews: 1,
            memory: 1 << 20,
            review: hour,
        };
        let (mut client, server) = tokio::io::duplex(1024);
        let (shutdown, departure) = Shutdown::new();
        let router = axum::Router::new().route("/", axum::routing::get(|| async { "x".repeat(100_000) }));
        let door = Door::new(router, departure, Counter::default());
        let served = tokio::spawn(async move { serve_http1(server, door, &limits).await });
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        client.read_exact(&mut [0; 100]).await.unwrap();
        let ready = Ready::default();
        let _block = shutdown.depart(&ready, Duration::ZERO).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest.bytes().filter(|byte| *byte == b'x').count(), 100_000);
        served.await.unwrap();
    }
}
