//! Typed indices, so that a state cannot be looked up among the parameters.

/// Defines a `u32` newtype that indexes one kind of thing.
macro_rules! index_type {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// From a position in a list.
            ///
            /// # Panics
            /// If the position does not fit in 32 bits; no list of the program is that long.
            pub fn from_position(position: usize) -> Self {
                Self(u32::try_from(position).expect("lists are shorter than 2^32"))
            }

            /// The position in the list it indexes.
            pub fn position(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index_type! {
    /// A differential state of the ODE.
    StateIdx;
    /// A number that the programs read and that differs from lane to lane: a constant of the
    /// model that a condition or an estimated parameter sets.
    SlotIdx;
    /// A condition on time alone that is constant between two breakpoints.
    SwitchIdx;
    /// A direction of differentiation in a tangent program.
    DirectionIdx;
    /// An estimated parameter: a coordinate of a point.
    ParameterIdx;
    /// A formula of estimated parameters that gives a slot's value.
    FormulaIdx;
    /// A stretch of a simulation between two changes of its conditions.
    PeriodIdx;
    /// An event of the model.
    EventIdx;
    /// A relation that event triggers are made of.
    RelationIdx;
    /// An observable of the problem.
    ObservableIdx;
    /// A distinct (pre-equilibration, condition) pair.
    SimulationIdx;
    /// A measurement row.
    RowIdx;
    /// One integration in a batch.
    LaneIdx;
    /// A list of breakpoints in a batch.
    TimelineIdx;
    /// A list of step fractions in a batch.
    ScheduleIdx;
    /// A vector of the estimated parameters in a sweep.
    PointIdx;
}
