//! Decisions: given the events of a stream and a command, which events follow.

/// The rules of one aggregate.
///
/// `decide` holds every rule and `evolve` none. Neither reads a clock, makes an id, logs or waits: time and
/// ids arrive inside the command.
pub trait Aggregate {
    /// What the events add up to.
    type State: Default + Clone;
    /// What is asked.
    type Command;
    /// What happened.
    type Event;
    /// Why not.
    type Error;

    /// Which events the command causes; none if it is already so.
    ///
    /// # Errors
    /// The rule that refuses the command.
    fn decide(state: &Self::State, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// The state after an event. Cannot fail.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;

    /// The state after many events.
    fn fold<'a>(events: impl IntoIterator<Item = &'a Self::Event>) -> Self::State
    where
        Self::Event: 'a,
    {
        events.into_iter().fold(Self::State::default(), Self::evolve)
    }
}
