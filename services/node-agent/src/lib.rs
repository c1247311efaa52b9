//! Makes one node match its assignment through its engine; reports what it sees.
