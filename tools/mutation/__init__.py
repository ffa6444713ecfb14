"""The parts of tools/mutate: changes.py finds the mutants, schema.py puts them into the sources, program.py runs them."""
