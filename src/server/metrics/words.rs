//! The closed sets of words that are values of labels.

/// A closed set of words that are values of a label.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$item])* $variant),+ }
        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// The word in the label.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }
    };
}

words! {
    /// How a review ended.
    Ending {
        /// With a patch.
        Mutated = "mutated",
        /// Allowed, no patch.
        Unchanged = "unchanged",
        /// The Pod was refused, as a preset says.
        Rejected = "rejected",
        /// With a status of 4xx or 5xx.
        Error = "error",
        /// Not even begun: too many at once.
        Shed = "shed",
    }
}

words! {
    /// How a review of presets ended.
    Verdict {
        /// They may be written, or there are none.
        Allowed = "allowed",
        /// They are not valid.
        Invalid = "invalid",
        /// Their author may not create Pods there.
        Forbidden = "forbidden",
        /// With a status of 4xx or 5xx.
        Error = "error",
        /// Not even begun: too many at once.
        Shed = "shed",
    }
}

words! {
    /// What was read again.
    Reload {
        /// A store of presets.
        Presets = "presets",
        /// The serving certificate.
        Certificate = "certificate",
        /// The labels of namespaces.
        Namespaces = "namespaces",
    }
}

words! {
    /// In which state a preset is.
    State {
        /// In force.
        Active = "active",
        /// Computed and reported only.
        Shadow = "shadow",
        /// Its document is bad.
        Refused = "refused",
        /// In force as it last was good.
        Stale = "stale",
    }
}

words! {
    /// What became of an Event.
    EventEnd {
        /// The API server has it.
        Sent = "sent",
        /// Too many at once.
        Dropped = "dropped",
        /// The API server does not take it, or is away.
        Failed = "failed",
    }
}

words! {
    /// Why a TLS handshake came to nothing.
    HandshakeFailure {
        /// It took too long.
        Timeout = "timeout",
        /// The peer left; a TCP probe does.
        Closed = "closed",
        /// The peer refused our certificate.
        Certificate = "certificate",
        /// No common version, suite or protocol, or no TLS at all.
        Protocol = "protocol",
    }
}
