"""From the states of the targets to what is wrong, and why.

The way of the data: `correlate` finds which pool leads to which server and keeps the readings of
both sides, `evidence` computes what they prove, `history` keeps the last hour. From these,
`records` makes one frozen record of each target, server, application, pool and bouncer's pool.
`verdicts` judges the records (`findings` has what a finding is, and its remedies), `checklist`
writes down what is fine, wrong and unknown, `advice` recommends sizes. `Analyzer` runs all of it in
its own thread, and publishes one frozen `Analysis`.
"""
