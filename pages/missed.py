"""Missed questions"""

import streamlit as st

st.title("Missed questions")
