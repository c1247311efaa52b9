//! What every service shell needs: configuration, telemetry, database, projections, shutdown, health.
