// Empty: carries the precompiled header of the LibTorch stages.
