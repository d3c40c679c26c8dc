//! The accept loop: a limit on connections, a deadline on handshakes, and patience when the system has no more descriptors.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::args::Address;
use super::config::Limits;
use super::connection::{self, Door};
use super::metrics::{HandshakeFailure, Metrics, Raised};
use super::shutdown::{Departure, Stage};

/// How long to wait after an accept that failed for want of something (descriptors, memory): doubled each time, up to the second value.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A bound port with all that its connections need.
pub struct Port {
    /// For the log.
    pub name: &'static str,
    /// Absent on the admin port.
    pub tls: Option<TlsAcceptor>,
    /// Deadlines and the number of connections.
    pub limits: Limits,
    /// When there are so many.
    pub full: Full,
    /// Counts panics; of the webhook (the port with TLS) also connections and handshakes.
    pub metrics: Arc<Metrics>,
    /// Where requests go.
    pub router: axum::Router,
    /// The way out.
    pub departure: Departure,
}

/// What becomes of a connection when there are as many as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// It waits until another has gone.
    Wait,
    /// The one that has been open longest is closed for it: nobody keeps others out by being there.
    CloseOldest,
}

/// Binds a port.
///
/// # Errors
/// It is in use, or not this machine's, or not allowed.
pub fn bind(address: Address) -> io::Result<std::net::TcpListener> {
    let listener = match address {
        Address::One(address) => std::net::TcpListener::bind(address)?,
        // An IPv6 socket takes IPv4 too, where there is IPv6.
        Address::All(port) => std::net::TcpListener::bind(SocketAddr::from(([0_u16; 8], port))).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => std::net::TcpListener::bind(SocketAddr::from(([0_u8; 4], port))),
        })?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Accepts and serves until [`Stage::Draining`], then waits for the connections that are left, without limit.
pub async fn serve(listener: TcpListener, port: Arc<Port>) {
    let connections = port.limits.connections;
    let slots = Arc::new(Semaphore::new(connections));
    accept(&listener, &port, &slots).await;
    accept_rest(listener, &port, &slots);
    let all = u32::try_from(connections).unwrap_or(u32::MAX);
    // The semaphore is never closed.
    let _ = slots.acquire_many(all).await;
}

async fn accept(listener: &TcpListener, port: &Arc<Port>, slots: &Arc<Semaphore>) {
    let mut departure = port.departure.clone();
    let mut back_off = BACK_OFF.0;
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        if port.full == Full::CloseOldest && slots.available_permits() == 0 {
            open.retain(|connection| !connection.is_finished());
            if let Some(oldest) = open.pop_front() {
                oldest.abort();
            }
        }
        let slot = tokio::select! {
            slot = Arc::clone(slots).acquire_owned() => slot,
            () = departure.reached(Stage::Draining) => return,
        };
        let Ok(slot) = slot else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = departure.reached(Stage::Draining) => return,
        };
        match accepted {
            Ok((socket, _)) => {
                back_off = BACK_OFF.0;
                let connection = tokio::spawn(serve_one(socket, Arc::clone(port), slot));
                if port.full == Full::CloseOldest {
                    open.retain(|connection| !connection.is_finished());
                    open.push_back(connection.abort_handle());
                }
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                if back_off == BACK_OFF.0 {
                    tracing::error!(port = port.name, %error, "cannot accept connections, trying again");
                }
                tokio::select! {
                    () = tokio::time::sleep(back_off) => {}
                    () = departure.reached(Stage::Draining) => return,
                }
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
}

/// What the kernel has accepted for us would be reset when the listener is closed: serve it too. The kernel itself is asked, as tokio may not
/// have heard of it yet.
fn accept_rest(listener: TcpListener, port: &Arc<Port>, slots: &Arc<Semaphore>) {
    let Ok(listener) = listener.into_std() else { return };
    while let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        let accepted = listener.accept().and_then(|(socket, _)| socket.set_nonblocking(true).and_then(|()| TcpStream::from_std(socket)));
        match accepted {
            Ok(socket) => drop(tokio::spawn(serve_one(socket, Arc::clone(port), slot))),
            Err(error) if is_of_the_peer(&error) => {}
            Err(_) => return,
        }
    }
}

/// Errors of the connection that would have been accepted, not of the listener (`accept(2)`).
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
}

async fn serve_one(socket: TcpStream, port: Arc<Port>, slot: OwnedSemaphorePermit) {
    let _open = port.tls.as_ref().map(|_| Raised::new(&port.metrics.connections));
    // An error means that the peer is gone, which the next read says too.
    let _ = socket.set_nodelay(true);
    let door = Door::new(port.router.clone(), port.departure.clone(), port.metrics.panics.clone());
    match &port.tls {
        None => connection::serve_http1(socket, door, &port.limits).await,
        Some(tls) => match timeout(port.limits.handshake, tls.accept(socket)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connection::serve_http2(stream, door, &port.limits).await;
            }
            Ok(Ok(stream)) => connection::serve_http1(stream, door, &port.limits).await,
            Ok(Err(error)) => failed(&port, reason(&error), &error),
            Err(late) => failed(&port, HandshakeFailure::Timeout, &late.into()),
        },
    }
    drop(slot);
}

fn failed(port: &Port, reason: HandshakeFailure, error: &io::Error) {
    port.metrics.handshake_failed(reason);
    tracing::debug!(reason = reason.word(), %error, "TLS handshake failed");
}

fn reason(error: &io::Error) -> HandshakeFailure {
    use rustls::AlertDescription as Alert;
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA,
        )) => HandshakeFailure::Certificate,
        Some(_) => HandshakeFailure::Protocol,
        None => HandshakeFailure::Closed,
    }
}
