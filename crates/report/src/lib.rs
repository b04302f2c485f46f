//! Statistics and tables of measured runs
