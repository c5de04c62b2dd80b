def describe(options, storage, strategies):
    return {}
