//! What the specification lets readers see.

/// What a reader has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Never,
    Invited,
    Joined,
    Left,
    Banned,
    Rejoined,
    Knocked,
    InvitedJoined,
}

/// A part of the room's life, between two changes of the reader's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before anything happened to the reader.
    Before,
    /// The first stay (or, for those who join after it, the time of the invitation).
    Between,
    /// Between two stays.
    Gap,
    /// After the last change.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    WorldReadable,
    Shared,
    Invited,
    Joined,
}

pub const VISIBILITIES: [Visibility; 4] =
    [Visibility::WorldReadable, Visibility::Shared, Visibility::Invited, Visibility::Joined];

impl Visibility {
    pub const fn name(self) -> &'static str {
        match self {
            Self::WorldReadable => "world_readable",
            Self::Shared => "shared",
            Self::Invited => "invited",
            Self::Joined => "joined",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Membership {
    None,
    Invite,
    Join,
    Leave,
    Ban,
    Knock,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Never,
        Self::Invited,
        Self::Joined,
        Self::Left,
        Self::Banned,
        Self::Rejoined,
        Self::Knocked,
        Self::InvitedJoined,
    ];

    pub const fn phases(self) -> &'static [Phase] {
        match self {
            Self::Never | Self::Invited | Self::Joined | Self::Knocked => {
                &[Phase::Before, Phase::After]
            }
            Self::Left | Self::Banned | Self::InvitedJoined => {
                &[Phase::Before, Phase::Between, Phase::After]
            }
            Self::Rejoined => &[Phase::Before, Phase::Between, Phase::Gap, Phase::After],
        }
    }

    const fn membership(self, phase: Phase) -> Membership {
        match (self, phase) {
            (_, Phase::Before) | (Self::Never, _) => Membership::None,
            (Self::InvitedJoined, Phase::Between) | (Self::Invited, _) => Membership::Invite,
            (Self::Knocked, _) => Membership::Knock,
            (_, Phase::Between)
            | (Self::Joined | Self::Rejoined | Self::InvitedJoined, Phase::After) => {
                Membership::Join
            }
            (_, Phase::Gap) | (Self::Left, Phase::After) => Membership::Leave,
            (Self::Banned, Phase::After) => Membership::Ban,
        }
    }

    /// The reader's membership now.
    const fn now(self) -> Membership {
        self.membership(Phase::After)
    }

    pub fn is_joined(self) -> bool {
        self.now() == Membership::Join
    }

    /// Whether the reader has ever been in the room.
    pub fn was_joined(self) -> bool {
        self.phases().iter().any(|phase| self.membership(*phase) == Membership::Join)
    }

    /// The five rules, in their order.
    pub fn may_see(self, visibility: Visibility, phase: Phase) -> bool {
        let at = self.membership(phase);
        let joined_later = || {
            let later = self.phases().iter().skip_while(|other| **other != phase).skip(1);
            later.into_iter().any(|later| self.membership(*later) == Membership::Join)
        };
        visibility == Visibility::WorldReadable
            || at == Membership::Join
            || (visibility == Visibility::Shared && joined_later())
            || (visibility == Visibility::Invited && at == Membership::Invite)
    }

    /// Whether the state may be read: "You aren't a member of the room and weren't previously a member
    /// of the room" is refused, unless everyone may read it.
    pub fn reads_state(self, visibility: Visibility) -> bool {
        self.was_joined() || visibility == Visibility::WorldReadable
    }

    /// Whether the timeline may be asked for: also by those who are invited where that lets them see.
    pub fn reads_timeline(self, visibility: Visibility) -> bool {
        self.reads_state(visibility) || (self == Self::Invited && visibility == Visibility::Invited)
    }

    /// The phase whose end the reader sees as state: the present, or that in which they left.
    pub fn state_phase(self, visibility: Visibility) -> Phase {
        if self.is_joined() || visibility == Visibility::WorldReadable {
            Phase::After
        } else {
            Phase::Between
        }
    }

    /// Whether the room is to be found now that its join rule is `invite`.
    pub fn finds(self, visibility: Visibility) -> bool {
        visibility == Visibility::WorldReadable
            || matches!(self.now(), Membership::Join | Membership::Invite | Membership::Knock)
    }
}
