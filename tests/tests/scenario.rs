//! The main job of Pli from end to end, with the real binaries, a real SMTP exchange and a real disk:
//! what `docs/` promises to an administration on its first day.

mod scenario {
    mod agents;
    mod cast;
    mod load;
}
