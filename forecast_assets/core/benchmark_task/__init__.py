"""A panel as tasks of the public forecasting benchmark fev (https://github.com/autogluon/fev), and our forecasts on them."""
