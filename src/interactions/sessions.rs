//! Sessions of users: by the ids that the clickstream gives them, else by pauses.

use super::{
    profiles::count_by_window,
    rows::{Part, SessionEvent},
    time::Stamp,
};

/// Adds a user's sessions by window: `times` ascending. A session counts in every window that it has an event in.
pub(super) fn by_pauses(times: &[Stamp], gap: u32, as_of: Option<Stamp>, counts: &mut Vec<u32>) {
    let ends: Vec<Stamp> = match as_of {
        Some(_) => times.chunk_by(|a, b| b.0 - a.0 <= gap).map(|session| session[session.len() - 1]).collect(),
        None => Vec::new(),
    };
    counts.extend(count_by_window(&ends, as_of));
}

/// The same of events with session ids, ascending by (session, time); those without an id (zero) are split by pauses.
pub(super) fn by_ids(events: &[SessionEvent], gap: u32, as_of: Option<Stamp>, counts: &mut Vec<u32>) {
    let is_one =
        |a: &SessionEvent, b: &SessionEvent| a.session == b.session && (a.session != 0 || b.time.0 - a.time.0 <= gap);
    let mut ends: Vec<Stamp> = match as_of {
        Some(_) => events.chunk_by(is_one).map(|session| session[session.len() - 1].time).collect(),
        None => Vec::new(),
    };
    ends.sort_unstable();
    counts.extend(count_by_window(&ends, as_of));
}

/// Session events of all parts by user of the bucket, then (session, time); those outside the window are left out.
pub(super) fn by_user(parts: &[Part<'_>], maps: &[Vec<u32>], is_in: impl Fn(Stamp) -> bool) -> Vec<SessionEvent> {
    let mut all: Vec<SessionEvent> = parts
        .iter()
        .zip(maps)
        .flat_map(|(part, map)| {
            part.events.sessions.iter().map(|event| SessionEvent { user: map[event.user as usize], ..*event })
        })
        .filter(|event| is_in(event.time))
        .collect();
    all.sort_unstable_by_key(|event| (event.user, event.session, event.time));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_a_session_and_an_id_does_not_care() {
        let as_of = Some(Stamp(100 * 86_400));
        let times = [0, 10, 40, 71, 100 * 86_400 - 5].map(Stamp);
        let mut counts = Vec::new();
        by_pauses(&times, 30, as_of, &mut counts);
        assert_eq!(counts, [1, 1, 1, 1, 3]);
        let event = |time, session| SessionEvent { user: 0, time: Stamp(time), session };
        let events = [event(5, 0), event(20, 0), event(90, 0), event(0, 4), event(90 * 86_400, 4), event(7, 9)];
        counts.clear();
        by_ids(&events, 30, as_of, &mut counts);
        assert_eq!(counts, [0, 0, 1, 1, 4]);
        counts.clear();
        by_pauses(&times, 30, None, &mut counts);
        assert_eq!(counts, [0; 5]);
    }
}
