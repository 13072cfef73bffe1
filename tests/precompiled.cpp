// Empty: carries the precompiled header of the torch-free tests.
