"""How the Java of the tests' own Sparks is started."""

QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
"""A test's queries are over before C2 has compiled them: without it, and with one thread to collect garbage, tests of
folds took 56 s of the processors where they took 82, those of pictures 37 where they took 50. Without C2, Java keeps
48 MB for compiled code and soon throws some of it away: with 240, tests of folds took 45 s where they took 52."""
